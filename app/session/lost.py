"""A browser whose session is gone: its server was restarted, or it was away for too long.

Streamlit gives such a browser a new, empty session and says nothing; what its page shows is of the
session that is gone, on this server or on another one behind the same proxy.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.session.language import gettext as _


def say_if_lost() -> None:
    """Say that the images are gone, until the page is loaded again."""
    if "lost" not in st.session_state:
        st.session_state["lost"] = _brings_widgets()
    if st.session_state["lost"]:
        st.error(
            _(
                "**The server no longer has this session and its images**: it was restarted, or "
                "the connection was interrupted for too long. Reload the page, then choose your "
                "images again."
            ),
            icon=":material/cloud_off:",
        )


def _brings_widgets() -> bool:
    """Whether the browser sends the state of widgets, which a session's first run has none of."""
    context = get_script_run_ctx()
    return context is not None and bool(context.session_state._state._new_widget_state.states)
