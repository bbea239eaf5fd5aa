"""Charts write numbers as the page does."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from app.session.language import LANGUAGES
from pipeline.text.formatting import number


def show(language: str) -> None:
    import plotly.graph_objects as go
    import streamlit as st

    from app.components.chart import show_chart

    st.session_state["language"] = language
    show_chart(go.Figure(go.Bar(x=[1], y=[0.5])), "bar")


@pytest.mark.parametrize("language", LANGUAGES)
def test_decimals_and_thousands_are_the_languages(language):
    page = AppTest.from_function(show, args=(language,)).run(timeout=30)
    assert not page.exception
    (chart,) = page.get("plotly_chart")
    decimal, group = number(1234.5, language, 1)[-2], number(1234.5, language, 1)[1]
    assert json.loads(chart.proto.spec)["layout"]["separators"] == decimal + group
