"""Read a radiograph: drop a film, see lungs, score and heatmap."""

import streamlit as st

from app import inference, reading
from app.language import gettext as _

st.title(_("Read a radiograph"))

source, settings = st.columns([3, 2], gap="large")
with source:
    reading.take_films()
with settings:
    model = reading.choose_model()
    inference.prepare(model)
reading.choose_example()

reading.show_refused()
case = reading.choose_case()
if case is None:
    reading.show_empty_state()
    st.stop()

with st.spinner(_("Finding the lungs and computing the score …")):
    diagnosis = inference.diagnosis_of(case, model)

reading.show_origin(case)
reading.show_verdict(case, diagnosis)
pictures = st.container()
with st.container(horizontal=True):
    contour = st.slider(_("Lung outline"), 0.0, 1.0, 1.0, 0.05, key="contour")
    heat = st.slider(_("Heatmap opacity"), 0.0, 1.0, 0.6, 0.05, key="heat")
    cam = reading.choose_method(diagnosis)
with pictures:
    reading.show_pictures(diagnosis, contour, heat, cam)
reading.show_meaning(diagnosis)
reading.show_details(case, diagnosis)
