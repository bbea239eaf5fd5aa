"""The frame around every page: path, theme, language, menu and the line that must not be missed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # streamlit puts only app/ there

import streamlit as st

from app.components import demonstration, failure, uploader
from app.session import address, sign_in
from app.session.language import LANGUAGES, current, declare
from app.session.language import gettext as _
from pipeline.serving.settings import read_settings

failure.keep_private()
st.set_page_config(page_title="Pulmoscope", page_icon="🫁", layout="wide")
st.html(ROOT / "app/frame.css")
address.take()
st.session_state.setdefault("language", current())
uploader.translate()

# Streamlit drops a widget's state when another page is shown; saying it again keeps it.
for key in ("model", "point", "prevalence", "example"):
    if key in st.session_state:
        st.session_state[key] = st.session_state[key]

titles = {
    "diagnose": _("Read a radiograph"),
    "worklist": _("Work list"),
    "pacs": _("From the PACS"),
    "compare": _("Compare"),
    "data": _("The data"),
    "preprocessing": _("Preprocessing"),
    "bias": _("Why cut out the lungs?"),
    "performance": _("Performance"),
    "about": _("About the models"),
}
if not read_settings().pacs:
    del titles["pacs"]
pages = {
    name: st.Page(ROOT / f"pages/{name}.py", title=title, url_path=name.replace("diagnose", "read"))
    for name, title in titles.items()
}
page = st.navigation(list(pages.values()))  # with headings, Streamlit's list is no valid list

with st.sidebar:
    st.segmented_control(
        _("Language"),
        list(LANGUAGES),
        format_func=LANGUAGES.get,
        key="language",
    )
    demonstration.offer("demonstrate")
    declare()

st.warning(
    _("**Not for diagnostic use.** Research demonstration. Do not use it for clinical decisions."),
    icon=":material/warning:",
)
sign_in.require()
try:
    address.keep()
    demonstration.show(next(name for name, one in pages.items() if one == page))
    page.run()
except Exception as error:
    failure.show(error)
    st.button(_("Try again"), icon=":material/refresh:")
