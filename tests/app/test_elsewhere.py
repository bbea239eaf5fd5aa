"""The performance page's tables of other hospitals and of the three answers."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.data.database import Film
from pipeline.evaluation.elsewhere import Answered, judge_elsewhere, judge_triage
from pipeline.evaluation.estimates import classification_scores, plain
from pipeline.models.triage import TriageLimits

ROWS = (
    ("COVID", "bimcv", "negative", 0.9),
    ("COVID", "sirm", "", 0.8),
    ("Normal", "rsna", "", 0.1),
    (None, "siim", "typical", 0.9),
    (None, "siim", "negative", 0.3),
    (None, "siim", "atypical", 0.5),
    (None, "shenzhen", "tuberculosis", 0.7),
)


@pytest.fixture(scope="module")
def scores() -> dict:
    films = [Film(Path(f"{i}.png"), label, source) for i, (label, source, *_) in enumerate(ROWS)]
    score = np.array([row[-1] for row in ROWS])
    findings = [(finding, str(i)) for i, (_, _, finding, _) in enumerate(ROWS)]
    answered = Answered(films, findings, score, np.zeros(len(ROWS), bool))
    whole = classification_scores(np.array([True, True, False]), score[:3], 0.5)
    scored = whole | {
        "elsewhere": judge_elsewhere(answered, 0.5),
        "triage": judge_triage(answered, TriageLimits(0.2, 0.6, 0.05, 0.95, 100)),
    }
    return plain(scored)


def show(scores: dict, language: str) -> None:
    import streamlit as st

    from app.sections import elsewhere

    st.session_state["language"] = language
    elsewhere.show_elsewhere(scores)
    elsewhere.show_triage(scores)


def tables(scores: dict, language: str = "en") -> list[list[list[str]]]:
    page = AppTest.from_function(show, args=(scores, language)).run(timeout=30)
    assert not page.exception
    return [table.value.to_numpy().tolist() for table in page.table]


def test_every_set_has_its_row(scores):
    sets, called, triage = tables(scores)
    assert [row[0] for row in sets] == [
        "Database",
        "Database, adults only",
        "SIIM-COVID19, typical against negative (2 patients)",
    ]
    assert sets[2][1].startswith("1.000 (")
    shares = {row[0]: row[1].split(" ")[0] for row in called}
    assert shares == {
        "SIIM-COVID19: atypical": "100.0%",
        "SIIM-COVID19: negative": "0.0%",
        "SIIM-COVID19: typical": "100.0%",
        "Shenzhen: tuberculosis": "100.0%",
        "Database: COVID class, contradictory": "100.0%",
    }
    answers = {row[0]: row[1:4] for row in triage}
    assert answers["SIIM-COVID19"] == ["33%", "0%", "67%"]
    assert answers["Shenzhen: tuberculosis"] == ["100%", "0%", "0%"]


def test_in_french_nothing_stays_english(scores):
    sets, called, triage = tables(scores, "fr")
    assert sets[0][0] == "Base"
    assert "Shenzhen\u00a0: tuberculose" in [row[0] for row in called]
    assert {row[-1] for row in triage} <= {"oui", "non", "–"}


def test_what_was_not_measured_is_not_shown(scores):
    assert tables({key: scores[key] for key in ("n", "auc")}) == []
    assert tables(scores | {"elsewhere": {}, "triage": None}) == []
