"""What a file says of itself is text on every page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from app.components import failure
from app.session import cases, language
from app.views.markdown import escape
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.text.messages import Message
from tests.conftest import ROOT

HOSTILE = (
    "![](//host/x)",
    "[a](http://host)",
    "<img src=//host/x>",
    "https://host/x",
    "www.host.example",
    "a@host.example",
    "`x` **b** $y$ :red[z] :material/home:",
    "# head\n\n- list\n\n![x](//host)",
    "&lt;img&gt;",
    "a\n===",
    "1. one",
    "\\![](//host/x)",
)


def tokens(text: str) -> set[str]:
    """The kinds of everything that CommonMark finds in the text."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    found = set()
    for block in parser.parse(text):
        found.add(block.type)
        found |= {inline.type for inline in block.children or ()}
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_is_escaped(text):
    plain = {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert tokens(escape(text)) <= plain
    # What Streamlit's own parser links without a sign.
    assert not re.search(r"https?://|www\.|\w@\w", escape(text).replace("\\", ""))


@given(st.text(max_size=40))
def test_whatever_it_is_it_stays_one_paragraph(text):
    found = tokens(f"x {escape(text)}")
    assert found <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


@pytest.mark.parametrize("code", ["modality", "photometric"])
def test_a_dicom_tag_is_text_in_its_sentence(code):
    """SECURITY.md: "Whatever a file says of itself is shown as text"."""
    message = Message(code, {code: "![](//host/x)", "known": "CR"})
    assert "![" not in language.sentence(message)
    assert r"\!\[\]\(" in language.sentence(message)
    assert "![](//host/x)" in language.plain_sentence(message)  # of a table, which is no Markdown


def test_the_page_shows_a_hostile_tag_and_name_as_text(monkeypatch):
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120)
    message = UnreadableRadiograph("modality", modality="![](//host/x)", known="CR").message
    page.session_state["refused"] = [("<img src=//host/y>", message)]
    page.run()
    (error,) = page.error
    assert "![" not in error.value
    assert r"\<img" in error.value
    assert "host/x" in error.value


def test_an_unforeseen_error_shows_and_logs_no_text(monkeypatch, caplog):
    """SECURITY.md: "No text of a library and no text of an error is logged"."""

    def fail(*_):
        raise ValueError("Secret^Patient")

    monkeypatch.setattr(cases, "cases", fail)
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120).run()
    assert "This page failed for an unexpected reason" in page.error[0].value
    assert not page.exception
    everything = "\n".join(str(e.value) for e in [*page.error, *page.markdown, *page.caption])
    assert "Secret" not in everything + caplog.text
    assert "a page failed: ValueError at tests/app/test_markdown.py" in caplog.text


def test_the_server_shows_errors_of_presses_by_the_same_sentence():
    from app import server

    assert server.app._on_script_error is failure.show
