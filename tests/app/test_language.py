"""Singular and plural, as either language takes them."""

import pytest
from babel.messages.catalog import Message

from app.session import language

AHEAD = ("{count} image is ahead of yours", "{count} images are ahead of yours")


@pytest.mark.parametrize(
    ("chosen", "count", "text"),
    [
        ("en", 0, "0 images are ahead of yours"),
        ("en", 1, "1 image is ahead of yours"),
        ("en", 2, "2 images are ahead of yours"),
        ("fr", 0, "0 cliché avant le vôtre"),
        ("fr", 1, "1 cliché avant le vôtre"),
        ("fr", 2, "2 clichés avant le vôtre"),
    ],
)
def test_a_count_has_its_form(monkeypatch, chosen, count, text):
    monkeypatch.setattr(language, "current", lambda: chosen)
    assert language.ngettext(*AHEAD, count).format(count=count) == text


def test_what_is_half_translated_is_not_used():
    assert language.forms(Message(("a", "b"), ("x", "y"))) == [("a", "x"), ("b", "y")]
    assert language.forms(Message("a", "x")) == [("a", "x")]
    assert language.forms(Message(("a", "b"), ("x", ""))) == []
    assert language.forms(Message("a", "")) == []
    assert language.forms(Message("a", "x", flags=["fuzzy"])) == []
