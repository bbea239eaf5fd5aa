"""What a reader is told where a page, or a press of a button, fails."""

import logging

import streamlit as st
from streamlit import config
from streamlit.errors import FragmentHandledException

from app.session.language import sentence
from pipeline.models.registry import WeightsError
from pipeline.serving.private_log import keep_identity_out, kind_and_place
from pipeline.serving.queue import NoAnswer
from pipeline.text.messages import Message

log = logging.getLogger(__name__)


def keep_private() -> None:
    """No text of an error in the log or on a page, whatever a configuration says."""
    keep_identity_out()
    config.set_option("logger.enableRich", False)  # prints errors past every logger
    config.set_option("client.showErrorDetails", "none")


def show(error: Exception) -> bool:
    """Say why, in a sentence that holds nothing of the error's own text; True: it has been shown.

    The log names the error's kind and place, as its text may hold what a file says of a patient.
    """
    if isinstance(error, FragmentHandledException):
        return True  # its fragment has said it
    if isinstance(error, NoAnswer | WeightsError):
        said = error.message
    else:
        log.error("a page failed: %s", kind_and_place(error))
        said = Message("page_failed")
    st.error(sentence(said), icon=":material/error:")
    return True
