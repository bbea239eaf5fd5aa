"""The radiograph viewer: zoom, window and level, invert, full screen, outlines and heatmaps.

A Streamlit component drawn in the browser: moving a slider there asks the server nothing. What it
is given is described at the head of ``viewer.js``.
"""

from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parent


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


_mount = st.components.v2.component(
    "pulmoscope_viewer", html=_text("viewer.html"), css=_text("viewer.css"), js=_text("viewer.js")
)


def show_viewer(data: dict, key: str) -> None:
    """Show films and what lies over them, see `app.views.film.viewer_data`."""
    _mount(data=data, key=key, height="content")
