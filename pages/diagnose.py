"""Read a radiograph: drop a film, see lungs, score and heatmap."""

import streamlit as st

from app.components import demonstration, downloads
from app.sections import answer, reading, stability
from app.session import cases
from app.session.language import gettext as _

st.title(_("Read a radiograph"))

source, settings = st.columns([3, 2], gap="large")
with source:
    reading.take_films()
with settings:
    model = reading.choose_model()
    cases.prepare(model)
reading.choose_example()

reading.show_refused()
case = reading.choose_case()
if case is None:
    reading.show_empty_state()
    demonstration.offer("demonstrate_here")
    st.stop()

answer.show_origin(case)
waiting = st.empty()
if not cases.is_answered(case, model):
    with waiting.container():
        answer.show_film_at_once(case)
        with st.spinner(_("Finding the lungs and computing the score…")):
            cases.diagnosis_of(case, model)
waiting.empty()
diagnosis = cases.diagnosis_of(case, model)

answer.show_verdict(case, diagnosis)
pictures = st.container()  # above the questions whose answers they show, too
answer.show_probability(diagnosis)
stability.show_stability(answer.as_chosen(diagnosis))
answer.show_agreement(case, diagnosis)
with pictures:
    answer.show_pictures(case, diagnosis)
    below_pictures = st.empty()
answer.show_meaning(diagnosis)
downloads.show_take_away(case, diagnosis)
answer.show_details(diagnosis)
with below_pictures.container():  # last, so that nothing waits for it
    answer.show_against_random(diagnosis)
