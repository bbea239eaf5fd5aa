"""The work list's table: its order, what it leaves out, and what to open next."""

import pytest
from streamlit.testing.v1 import AppTest

from app.sections.worklist import in_order, next_suspicious
from pipeline.io.archive import Source
from pipeline.serving.worklist import Row
from pipeline.text.messages import Message


def row(name: str, status: str, score: float | None = None) -> Row:
    reasons = () if status == "ok" else (Message("inverted"),)
    record = {"status": status, "sha256": name, "covid_score": score, "threshold": 0.5}
    if status == "ok":
        record["positive"] = score >= 0.5
    return Row(Source(name, bytes), record, reasons)


@pytest.fixture
def rows() -> tuple[Row, ...]:
    return (
        row("damaged", "error"),
        row("low", "ok", 0.1),
        row("inverted", "abstained"),
        row("high", "ok", 0.9),
        row("middle", "ok", 0.6),
    )


def names(rows) -> list[str]:
    return [row.source.name for row in rows]


def test_the_highest_score_comes_first_and_errors_last(rows):
    assert names(in_order(rows)) == ["high", "middle", "low", "inverted", "damaged"]
    assert names(in_order(rows, ("negative", "error"))) == ["low", "damaged"]


def test_the_next_suspicious_image_is_one_that_was_not_opened(rows):
    assert next_suspicious(rows, []).source.name == "high"
    assert next_suspicious(rows, ["high"]).source.name == "middle"
    assert next_suspicious(rows, ["high", "middle"]) is None


def show(rows) -> None:
    from types import SimpleNamespace

    import streamlit as st

    from app.sections import worklist

    st.session_state.setdefault("worklist_turn", 0)
    st.session_state["worklist"] = SimpleNamespace(rows=rows, running=False)
    worklist.show_table()


def test_the_table_shows_what_differs_and_can_be_narrowed_down(rows):
    page = AppTest.from_function(show, kwargs={"rows": rows}).run(timeout=30)
    assert not page.exception, page.exception
    table = page.dataframe[0].value
    assert list(table["file"]) == ["high", "middle", "low", "inverted", "damaged"]
    assert set(table.columns) == {"film", "verdict", "score", "file"}
    assert "from 0.50 on" in page.caption[0].value
    page.segmented_control[0].set_value(["positive"]).run()
    assert not page.exception, page.exception
    assert list(page.dataframe[0].value["file"]) == ["high", "middle"]
    assert page.button[0].label == "Next suspicious image"
