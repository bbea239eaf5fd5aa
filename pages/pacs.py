"""From the PACS: search for radiographs, read one, compare it, or send many to the work list."""

import streamlit as st

from app.sections import pacs
from app.session.language import gettext as _
from app.session.pacs import may_be_shown

st.title(_("From the PACS"))
if not may_be_shown():
    pacs.show_why_not()
    st.stop()

criteria = pacs.choose_criteria()
if criteria is not None:
    pacs.search(criteria)
ticked = pacs.show_found()
if ticked is None:
    pacs.show_empty_state()
    st.stop()
pacs.offer_actions(ticked)
