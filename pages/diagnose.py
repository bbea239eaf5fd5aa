"""Read a radiograph: drop a film, see lungs, score and heatmap."""

import streamlit as st

from app import inference, reading
from app.language import gettext as _
from pipeline.gradcam import METHODS

st.title(_("Read a radiograph"))

source, settings = st.columns([3, 2], gap="large")
with source:
    reading.choose_film()
with settings:
    model = reading.choose_model()

reading.show_refused()
case = reading.choose_case()
if case is None:
    reading.show_empty_state()
    st.stop()

with st.spinner(_("Finding the lungs and computing the score …")):
    diagnosis = inference.diagnosis_of(case, model)

reading.show_origin(case)
reading.show_verdict(case, diagnosis)
with st.container(horizontal=True, key="sliders"):
    contour = st.slider(_("Lung outline"), 0.0, 1.0, 1.0, 0.05, key="contour")
    heat = st.slider(_("Heatmap opacity"), 0.0, 1.0, 0.6, 0.05, key="heat")
    cam = st.selectbox(
        _("Heatmap method"), list(METHODS), index=list(METHODS).index(diagnosis.cam), key="cam"
    )
reading.show_pictures(diagnosis, contour, heat, cam)
reading.show_details(case, diagnosis)
