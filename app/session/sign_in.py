"""Signing in with OpenID Connect, where whoever runs the server asks for it.

The provider stands in ``.streamlit/secrets.toml`` under ``[auth]``, as Streamlit describes;
``PULMOSCOPE_SIGN_IN=1`` requires it on every page and for the HTTP interface.
"""

import time

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.session.language import gettext as _
from pipeline.serving.settings import read_settings

LEEWAY = 60  # seconds that two clocks may differ

_admitted: dict[str, float] = {}  # by session: until when


def require() -> None:
    """Show nothing of the page to a reader who has to sign in first; offer to sign out."""
    if not read_settings().sign_in:
        return
    if not _configured():
        st.error(
            _(
                "This server requires signing in, but has no provider: its administrator sets one "
                "under [auth] in .streamlit/secrets.toml."
            ),
            icon=":material/error:",
        )
        st.stop()
    for session in [one for one in list(_admitted) if not admits(one)]:
        _admitted.pop(session, None)
    if not is_valid(st.user.to_dict(), time.time()):
        st.info(_("Please sign in to use Pulmoscope on this server."), icon=":material/lock:")
        st.button(_("Sign in"), on_click=st.login, type="primary", icon=":material/login:")
        st.stop()
    _admitted[_session()] = float(st.user["exp"])
    with st.sidebar:
        st.button(_("Sign out"), on_click=st.logout, icon=":material/logout:")


def is_valid(user: dict, now: float) -> bool:
    """Whether the provider's statement of who this is still holds.

    The cookie that carries it lives for 30 days; the statement says itself how long it is good.
    """
    until = user.get("exp")
    if not user.get("is_logged_in") or isinstance(until, bool):
        return False
    return isinstance(until, int | float) and until + LEEWAY > now


def admits(session: str) -> bool:
    """Whether a session may send files: no sign-in is asked for, or its own is valid."""
    if not read_settings().sign_in:
        return True
    return _admitted.get(session, 0) + LEEWAY > time.time()


def _session() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""


def _configured() -> bool:
    try:
        return "client_id" in st.secrets["auth"]
    except (FileNotFoundError, KeyError):
        return False
