"""Compare: both models on one film, or two films of one patient."""

import streamlit as st

from app import comparing, inference, reading
from app.language import gettext as _
from app.names import model_names
from pipeline import registry

st.title(_("Compare"))
question = comparing.choose_question()
both = question == comparing.MODELS
if len(inference.cases()) < (1 if both else 2):
    comparing.show_empty_state(1 if both else 2)
    st.stop()

if both:
    case = comparing.choose_film(_("Film"), "compared_film")
    answers = comparing.ask(case, registry.classifiers()[:2])
    comparing.show_scores([model_names()[a.model] for a in answers], answers)
    comparing.show_models(*answers)
else:
    left, right, third = st.columns(3)
    with left:
        earlier = comparing.choose_film(_("First film"), "earlier_film", 0)
    with right:
        later = comparing.choose_film(_("Second film"), "later_film", 1)
    with third:
        model = reading.choose_model("compared_model")
    answers = [comparing.ask(case, [model])[0] for case in (earlier, later)]
    titles = [reading.title_of(case) for case in (earlier, later)]
    comparing.show_scores(titles, answers)
    comparing.show_films(titles, answers)
    comparing.show_change(*answers)
