"""Streamlit's own words in the uploader, which it has in English only, in the reader's language."""

import json

import streamlit as st

from app.session.language import current
from app.session.language import gettext as _


def translate() -> None:
    """Write the reader's words over Streamlit's; assistive technology reads them, too."""
    if current() == "en":
        return
    limit = _("{megabytes} MB per file").format(megabytes=st.get_option("server.maxUploadSize"))
    zone = "[data-testid=stFileUploaderDropzone]"
    words = {
        f"{zone} [data-testid=stBaseButton-secondary] p": _("Choose files"),
        f"{zone} [data-testid=stFileUploaderDropzoneInstructions] span": limit,
    }
    rules = [
        f"{where} {{ font-size: 0 }} "
        f"{where}::after {{ content: {json.dumps(text)}; font-size: 0.875rem }}"
        for where, text in words.items()
    ]
    st.html(f"<style>{' '.join(rules)}</style>")
