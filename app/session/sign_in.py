"""Signing in with OpenID Connect, where whoever runs the server asks for it.

The provider stands in ``.streamlit/secrets.toml`` under ``[auth]``, as Streamlit describes;
``PULMOSCOPE_SIGN_IN=1`` requires it on every page and for the HTTP interface.
"""

import streamlit as st

from app.session.language import gettext as _
from pipeline.serving.settings import read_settings


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
    if not st.user.is_logged_in:
        st.info(_("Please sign in to use Pulmoscope on this server."), icon=":material/lock:")
        st.button(_("Sign in"), on_click=st.login, type="primary", icon=":material/login:")
        st.stop()
    with st.sidebar:
        st.button(_("Sign out"), on_click=st.logout, icon=":material/logout:")


def _configured() -> bool:
    try:
        return "client_id" in st.secrets["auth"]
    except (FileNotFoundError, KeyError):
        return False
