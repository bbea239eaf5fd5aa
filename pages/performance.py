"""What the models can and cannot do: every figure that was measured, to explore."""

import streamlit as st

from app.sections import elsewhere, headlines, performance, trust
from app.session.language import gettext as _
from pipeline.release.measurements import scores_on_test_films

st.title(_("Performance"))
model = performance.choose_model()
if model is None:
    st.stop()
scores = scores_on_test_films(model)
performance.show_what_was_measured(scores)
inside, outside, stable, maps, gate, training = st.tabs(headlines.tab_names())
with inside:
    headlines.show_inside(scores)
    st.subheader(_("Decision threshold"), anchor=False)
    performance.explore_threshold(model, scores)
    performance.show_curves(model, scores)
    performance.show_classes(model, scores)
    trust.show_together()
with outside:
    headlines.show_outside(scores)
    elsewhere.show_elsewhere(scores)
    elsewhere.show_triage(scores)
    performance.show_sources(scores)
    trust.show_left_out_sources(model)
with stable:
    headlines.show_stable(model)
    trust.show_changes(model)
with maps:
    headlines.show_where_it_looks(model, scores)
    trust.show_heatmaps(model)
    trust.show_lungs(model)
    performance.show_masks(scores)
with gate:
    headlines.show_gate()
    trust.show_gate()
with training:
    headlines.show_training(model)
    performance.show_training(model)
