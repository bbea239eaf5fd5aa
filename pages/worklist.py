"""Work list: drop many films, see them scored one by one, open any of them."""

import streamlit as st

from app.sections import reading, worklist
from app.session.language import gettext as _

st.title(_("Work list"))

if worklist.is_running():
    worklist.show_progress()
    st.stop()

sources = worklist.take_files()
if sources:
    worklist.offer_start(sources, reading.choose_model())
worklist.show_outcome()
if worklist.is_empty() and not sources:
    worklist.show_empty_state()
    worklist.offer_synthetic_films(reading.choose_model())
worklist.show_table()
worklist.offer_downloads()
