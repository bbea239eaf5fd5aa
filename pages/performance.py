"""What the models can and cannot do: every figure that was measured, to explore."""

import streamlit as st

from app.sections import elsewhere, performance, trust
from app.session.language import gettext as _
from pipeline.release.measurements import scores_on_test_films

st.title(_("Performance"))
model = performance.choose_model()
if model is None:
    st.stop()
scores = scores_on_test_films(model)
performance.show_what_was_measured(scores)
elsewhere.show_elsewhere(scores)
elsewhere.show_triage(scores)

st.subheader(_("Decision threshold"), anchor=False)
performance.explore_threshold(model, scores)
performance.show_curves(model, scores)
performance.show_classes(model, scores)
performance.show_sources(scores)
performance.show_masks(scores)
trust.show_together()
trust.show_heatmaps(model)
trust.show_lungs(model)
trust.show_changes(model)
trust.show_left_out_sources(model)
trust.show_gate()
performance.show_training(model)
