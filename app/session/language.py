"""French and English: gettext catalogues, chosen from the browser's language and switchable.

English is the source; ``locale/fr/LC_MESSAGES/pulmoscope.po`` holds the French. The catalogue is
read with Babel when the app starts, so that what is edited is what runs.
"""

import re
from functools import cache
from pathlib import Path

import streamlit as st
from babel import Locale
from babel.messages.catalog import Message as PoMessage
from babel.messages.pofile import read_po

from app.views.markdown import escape
from pipeline.text import formatting
from pipeline.text.messages import Message

LANGUAGES = {"en": "English", "fr": "Français"}
LOCALE = Path(__file__).resolve().parents[1] / "locale"
NO_BREAK = "\u00a0"


@cache
def catalogue(language: str) -> dict[str, str]:
    """Source text to translation, the plural beside the singular; empty for English."""
    path = LOCALE / language / "LC_MESSAGES" / "pulmoscope.po"
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        found = dict(pair for message in read_po(file) for pair in forms(message))
    return {text: _unbroken(string) for text, string in found.items()}


def forms(message: PoMessage) -> list[tuple[str, str]]:
    """A message's texts with their translations: one, or singular and plural; none if unfinished.

    Languages of more than two forms are not served.
    """
    if not message.id or message.fuzzy:
        return []
    ids = message.id if isinstance(message.id, tuple) else (message.id,)
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    return list(zip(ids, strings, strict=True)) if all(strings) else []


def _unbroken(french: str) -> str:
    """No line begins with a colon or a percent sign, or ends with an opening quotation mark."""
    return re.sub(r" (?=[;:?!»%])|(?<=«) ", NO_BREAK, french)


_mount = st.components.v2.component(
    "pulmoscope_language",
    js="export default ({ data }) => { document.documentElement.lang = data.language; }",
)


def declare() -> None:
    """Tell the browser the page's language, so that screen readers pronounce it."""
    _mount(data={"language": current()}, key="declared_language")


def current() -> str:
    """The reader's language: chosen, or else the browser's, or else English."""
    chosen = st.session_state.get("language")
    if chosen in LANGUAGES:
        return chosen
    browser = (st.context.locale or "en").split("-")[0].lower()
    return browser if browser in LANGUAGES else "en"


def gettext(text: str) -> str:
    """The text in the reader's language."""
    return catalogue(current()).get(text, text)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form that the reader's language takes for a count: French has "0 image", English not."""
    one = Locale.parse(current()).plural_form(count) == "one"
    return gettext(singular if one else plural)


def sentence(reason: Message) -> str:
    """A reason in the reader's language, its percentages too, as Markdown: what a file says of
    itself is text in it."""
    return formatting.sentence(reason, gettext, current(), escape)


def plain_sentence(reason: Message) -> str:
    """The same where Markdown is not read: in a table's cell."""
    return formatting.sentence(reason, gettext, current())


def percent(value: float, digits: int = 0) -> str:
    """0.954 -> "95%" or "95 %", as the reader's language writes it."""
    return formatting.percent(value, current(), digits)


def significant(value: float) -> str:
    """A number by its first three digits that are not 0."""
    return formatting.significant(value, current())


def number(value: float, digits: int = 2) -> str:
    """A number with the language's decimal sign and grouping."""
    return formatting.number(value, current(), digits)
