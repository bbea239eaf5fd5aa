"""Preprocessing: what the graph makes of one film before it decides."""

import streamlit as st

from app.sections import preprocessing, reading
from app.session.language import gettext as _

st.title(_("Preprocessing"))
st.markdown(
    _(
        "Between the film and the score lie a few steps that decide what the classifier can see "
        "at all: one size, even grey levels, lungs cut out, even levels again. Here is each of "
        "them on one film, computed by the very graph that gives the score."
    )
)
case = preprocessing.choose_case()
model = reading.choose_model()
diagnosis, stages = preprocessing.stages(case, model)

preprocessing.show_stages(stages)
preprocessing.offer_slide(case, stages)

st.subheader(_("Before and after"), anchor=False)
preprocessing.compare_stages(stages)

st.subheader(_("Equalising, bit for bit"), anchor=False)
preprocessing.show_equalisation(stages)

st.subheader(_("The graph, layer by layer"), anchor=False)
preprocessing.explore_graph(diagnosis)
