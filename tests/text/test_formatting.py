"""Numbers as the reader's language writes them."""

import json
import re
from dataclasses import asdict

import pytest
import streamlit as st

from app.session.language import catalogue, current, gettext, number, percent
from pipeline.evaluation.estimates import Estimate
from pipeline.text.formatting import estimate, significant


@pytest.fixture(params=["en", "fr"])
def language(request, monkeypatch):
    monkeypatch.setitem(st.session_state, "language", request.param)
    return request.param


@pytest.mark.filterwarnings("ignore")
def test_numbers_and_texts(language):
    assert current() == language
    assert number(0.826) == {"en": "0.83", "fr": "0,83"}[language]
    assert percent(0.954, 1) == {"en": "95.4%", "fr": "95,4\u202f%"}[language]
    assert number(599073, 0).replace("\u202f", " ") == {"en": "599,073", "fr": "599 073"}[language]
    assert gettext("Image") == {"en": "Image", "fr": "Cliché"}[language]
    assert gettext("no such text") == "no such text"


def test_an_estimate_is_written_with_its_interval():
    known = Estimate(0.912, 0.89, 0.934, 50)
    assert estimate(known, "en") == "91.2% (89.0% – 93.4%)"
    assert estimate(known, "fr") == "91,2\u202f% (89,0\u202f% – 93,4\u202f%)"
    assert estimate(known, "en", 2, share=False) == "0.91 (0.89 – 0.93)"
    assert estimate(Estimate(None, None, None, 0), "en") == "–"
    assert Estimate(**json.loads(json.dumps(asdict(known)))) == known


def test_no_line_of_french_begins_with_its_colon():
    texts = catalogue("fr").values()
    assert any("\u00a0: " in text for text in texts)
    assert not [text for text in texts if re.search(r" [;:?!»]|« ", text)]


@pytest.mark.parametrize(
    "value, english, french",
    [(0.002770, "0.00277", "0,00277"), (2.4319, "2.43", "2,43"), (22.757, "22.8", "22,8")],
)
def test_three_digits_that_say_something(value, english, french):
    assert significant(value, "en") == english
    assert significant(value, "fr") == french
