"""What the models are, what they were trained on, and what they cannot do."""

import streamlit as st

from app.sections import about
from app.session.language import gettext as _

st.title(_("About the models"))
st.markdown(
    _(
        "Pulmoscope finds the lungs on a frontal chest radiograph, scores how much they resemble "
        "those of COVID-19 images, and shows where the score comes from. It is a research "
        "demonstration, built on the models of the project report by Pagesy and Larose, called "
        "here the original report."
    )
)
st.subheader(_("Intended use"), anchor=False)
st.markdown(about.intended_use())
st.subheader(_("Limits"), anchor=False)
st.markdown(about.limits())
st.subheader(_("Scores on test images"), anchor=False)
about.show_scores()
about.show_site()
st.subheader(_("Data"), anchor=False)
st.markdown(about.data())
st.subheader(_("Weights"), anchor=False)
about.show_weights()
st.subheader(_("Versions and licences"), anchor=False)
about.show_device()
about.show_versions()
