"""Compare: both models on one film, or two films of one patient."""

import streamlit as st

from app.sections import compare, reading
from app.session import cases
from app.session.language import gettext as _
from app.views.names import model_names
from pipeline.models import registry

st.title(_("Compare"))
question = compare.choose_question()
both = question == compare.MODELS
if len(cases.cases()) < (1 if both else 2):
    compare.show_empty_state(1 if both else 2)
    st.stop()

if both:
    case = compare.choose_film(_("Image"), "compared_film")
    answers = compare.ask(case, registry.classifiers()[:2])
    compare.show_scores([model_names()[a.model] for a in answers], answers)
    compare.show_models(*answers)
else:
    left, right, third = st.columns(3)
    with left:
        earlier = compare.choose_film(_("First image"), "earlier_film", 0)
    with right:
        later = compare.choose_film(_("Second image"), "later_film", 1)
    with third:
        model = reading.choose_model("compared_model")
    answers = [compare.ask(case, [model])[0] for case in (earlier, later)]
    titles = [reading.title_of(case) for case in (earlier, later)]
    compare.show_scores(titles, answers)
    compare.show_films(titles, answers)
    compare.show_change(*answers)
