"""A chart as the reader's language writes numbers, without tools that lie over its title."""

import plotly.graph_objects as go
import streamlit as st

from app.session.language import current

# What plotly puts before decimals and between thousands.
SEPARATORS = {"en": ".,", "fr": ",\u202f"}


def show_chart(figure: go.Figure, key: str, **options) -> None:
    """Show a chart; ``key`` and ``options`` as of `streamlit.plotly_chart`."""
    figure.update_layout(separators=SEPARATORS[current()])
    st.plotly_chart(figure, key=key, **{"config": {"displayModeBar": False}} | options)
