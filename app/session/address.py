"""Language, model and example in the page's address, so that a reload or a link keeps them."""

import streamlit as st

from app.session import cases
from app.session.language import LANGUAGES
from pipeline.data.phantom import EXAMPLES
from pipeline.models import registry


def take() -> None:
    """What the address names, for a session that has not chosen yet; nonsense is left alone."""
    allowed = {
        "language": LANGUAGES,
        "model": registry.known_classifiers() or (),
        "example": EXAMPLES,
    }
    for name, values in allowed.items():
        value = st.query_params.get(name)
        if name not in st.session_state and value in values:
            st.session_state[name] = value


def keep() -> None:
    """Write into the address what has been chosen; an upload has no place in it."""
    case = cases.selected_case()
    names = ["language", "model"]
    if case is None or case.origin == "synthetic":
        names.append("example")
    for name in ("language", "model", "example"):
        value = st.session_state.get(name) if name in names else None
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value
        elif not value and name in st.query_params:
            del st.query_params[name]
