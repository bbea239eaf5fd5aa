"""The badge that says how stable the answer is, and what it was computed from."""

import streamlit as st

from app.session.language import current, number
from app.session.language import gettext as _
from app.views.names import change_names
from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.wording import stability_sentence
from pipeline.serving.stability import background

POLL_SECONDS = 0.5


def show_stability(diagnosis: Diagnosis) -> None:
    """How the score of slightly changed copies differs; computed while the reader looks."""
    if not diagnosis.verdict.may_score:
        return
    asked = background().ask(diagnosis)
    st.fragment(_badge, run_every=None if asked.done() else POLL_SECONDS)(diagnosis, asked.done())


def _badge(diagnosis: Diagnosis, done_before: bool) -> None:
    asked = background().ask(diagnosis)
    if not asked.done():
        st.caption(_("Stability: being computed on eight slightly changed copies…"))
        return
    if not done_before:
        st.rerun()  # without asking any more
    if asked.exception():
        st.caption(_("Stability: could not be computed."))
        return
    stability = asked.result()
    changed = stability.changed(diagnosis.threshold)
    if changed:
        st.badge(_("Unstable"), icon=":material/warning:", color="orange")
    else:
        st.badge(_("Stable"), icon=":material/check:", color="green")
    st.markdown(stability_sentence(stability, diagnosis.threshold, _, current()))
    with st.expander(_("The eight copies")):
        st.table(
            {
                _("Copy"): [change_names()[name] for name in stability.scores],
                _("Score"): [number(score) for score in stability.scores.values()],
            }
        )
