"""Read a radiograph: drop a film, see lungs, score and heatmap."""

import streamlit as st

from app.components import demonstration, downloads, sending
from app.sections import answer, measures, reading, stability
from app.session import cases
from app.session.language import gettext as _

if not reading.has_film():
    st.title(_("Read a radiograph"))
    source, settings = st.columns([3, 2], gap="large")
    with source:
        reading.take_films()
    with settings:
        cases.prepare(reading.choose_model())
    reading.choose_example()
    reading.show_refused()
    reading.choose_case()
    reading.show_empty_state()
    demonstration.offer("demonstrate_here")
    st.stop()

with st.container(horizontal=True, vertical_alignment="center", key="reading_bar"):
    st.title(_("Read a radiograph"), width="content")
    reading.open_another()
reading.show_refused()
reading.note_what_was_let_go()
case = cases.selected_case()
if case is None:  # nothing of what was dropped could be read
    st.rerun()
model, time_taken = reading.show_header(case)
cases.prepare(model)

waiting = st.empty()
if not cases.is_answered(case, model):
    with waiting.container(key="waiting"):  # hides what was said of another film
        film, said = st.columns(answer.COLUMNS, gap="medium")
        with film:
            answer.show_film_at_once(case)
        with said, st.spinner(_("Finding the lungs and computing the score…")):
            cases.diagnosis_of(case, model)
waiting.empty()
diagnosis = cases.diagnosis_of(case, model)
time_taken.caption(answer.time_taken(diagnosis), width="content")

with st.container(key="answered"):
    film, said = st.columns(answer.COLUMNS, gap="medium")
    with said:
        answer.show_verdict(case, diagnosis)
        stability.show_stability(answer.as_chosen(diagnosis))
        answer.show_classes(diagnosis)
        answer.show_probability(diagnosis)
        answer.show_agreement(case, diagnosis)
        answer.show_notes(case)
    with film:
        answer.show_pictures(case, diagnosis)
        below_pictures = st.empty()
    answer.show_meaning(diagnosis)
    measures.show_measures(diagnosis)
    downloads.show_take_away(case, diagnosis)
    sending.offer_results(case, diagnosis)
    answer.show_details(diagnosis)
with below_pictures.container():  # last, so that nothing waits for it
    answer.show_against_random(diagnosis)
