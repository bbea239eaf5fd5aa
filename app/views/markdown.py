"""Text from outside (a file's name, what its header says) as Markdown that says just that."""

import re

from pipeline.report.tables import printable

SIGNS = frozenset("\\`*_{}[]()#+-.!|<>$~:&=")
# What Streamlit makes a link of without any sign of Markdown's; a word joiner keeps it apart.
LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)


def escape(text: str) -> str:
    """The text with every sign of Markdown escaped and links undone, on one line."""
    apart = LINKS.sub("\u2060", printable(text))
    return "".join(f"\\{sign}" if sign in SIGNS else sign for sign in apart)
