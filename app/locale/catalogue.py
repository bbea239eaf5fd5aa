"""Which texts need a translation: those of every ``_("...")`` and ``ngettext("...", "...", n)``
of app, pages and pipeline.report, and every sentence of pipeline.text.messages.

    python -m app.locale.catalogue

lists those that the French catalogue lacks, and those that it has and nothing uses.
"""

import ast
from pathlib import Path

from babel.messages.pofile import read_po

from app.session.language import forms
from pipeline.text.messages import SENTENCES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("app/**/*.py", "pages/*.py", "pipeline/report/**/*.py")
TEXTS = {"_": 1, "ngettext": 2}  # how many of a call's first arguments are texts
FRENCH = ROOT / "app/locale/fr/LC_MESSAGES/pulmoscope.po"


def texts() -> set[str]:
    """Every text that a reader may be shown in English."""
    found = set(SENTENCES.values())
    for path in [f for pattern in SOURCES for f in ROOT.glob(pattern)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = node.args[: TEXTS.get(getattr(node.func, "id", ""), 0)]
                found |= {text.value for text in given if isinstance(text, ast.Constant)}
    return found


def translated() -> set[str]:
    """Every text that the French catalogue translates."""
    with FRENCH.open("rb") as file:
        return {text for message in read_po(file) for text, _ in forms(message)}


if __name__ == "__main__":
    for missing in sorted(texts() - translated()):
        print("missing:", missing)
    for unused in sorted(translated() - texts()):
        print("unused:", unused)
