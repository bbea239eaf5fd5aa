"""Preprocessing: what the graph makes of one film before it decides."""

import streamlit as st

from app.sections import preprocessing, reading
from app.session.language import gettext as _

st.title(_("Preprocessing"))
st.markdown(
    _(
        "A few steps between the image and the score decide what the classifier can see: a common "
        "size, equalised grey levels, lungs cut out, equalised again. Each step is shown here on "
        "one image, computed by the same graph that gives the score."
    )
)
case = preprocessing.choose_case()
model = reading.choose_model()
diagnosis, stages = preprocessing.stages(case, model)

preprocessing.show_stages(stages)
preprocessing.offer_slide(case, stages)

st.subheader(_("Before and after"), anchor=False)
preprocessing.compare_stages(stages)

st.subheader(_("Equalisation, bit for bit"), anchor=False)
preprocessing.show_equalisation(stages)

st.subheader(_("The graph, layer by layer"), anchor=False)
preprocessing.explore_graph(diagnosis)
