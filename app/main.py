"""The frame around every page: path, theme, language, menu and the line that must not be missed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # streamlit puts only app/ there

import streamlit as st

from app.language import LANGUAGES, current
from app.language import gettext as _

st.set_page_config(page_title="Pulmoscope", page_icon="🫁", layout="wide")

# Streamlit drops a widget's state when another page is shown; saying it again keeps it.
for key in ("model", "point", "prevalence", "example"):
    if key in st.session_state:
        st.session_state[key] = st.session_state[key]

pages = st.navigation(
    [
        st.Page(ROOT / "pages/diagnose.py", title=_("Read a radiograph"), url_path="read"),
        st.Page(ROOT / "pages/worklist.py", title=_("Work list"), url_path="worklist"),
        st.Page(ROOT / "pages/compare.py", title=_("Compare"), url_path="compare"),
        st.Page(ROOT / "pages/data.py", title=_("The data"), url_path="data"),
        st.Page(
            ROOT / "pages/preprocessing.py", title=_("Preprocessing"), url_path="preprocessing"
        ),
        st.Page(ROOT / "pages/bias.py", title=_("Why cut out the lungs?"), url_path="bias"),
        st.Page(ROOT / "pages/performance.py", title=_("Performance"), url_path="performance"),
        st.Page(ROOT / "pages/about.py", title=_("About the models"), url_path="about"),
    ]
)

with st.sidebar:
    st.segmented_control(
        _("Language"),
        list(LANGUAGES),
        format_func=LANGUAGES.get,
        default=current(),
        key="language",
    )

st.warning(
    _("**Not for diagnostic use.** A research demonstration: no decision may rest on it."),
    icon=":material/warning:",
)
pages.run()
