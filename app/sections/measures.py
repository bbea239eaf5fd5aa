"""How large the lungs are, below the answer."""

import streamlit as st

from app.session.language import current
from app.session.language import gettext as _
from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.wording import measures_limits, measures_text


def show_measures(diagnosis: Diagnosis) -> None:
    """Lengths and areas where the file gives its pixels' spacing, and the cardiothoracic ratio."""
    measures = diagnosis.measures
    text = measures_text(measures, _, current())
    if text:
        st.markdown(f"**{_('Measures')}**: {text}", help=measures_limits(measures, _))
