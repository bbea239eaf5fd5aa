"""The data: what the database holds, where it comes from, and what that does to a score."""

import streamlit as st

from app.sections import data
from app.session.language import gettext as _

st.title(_("The data"))
st.markdown(
    _(
        "Every result depends on the images used for training. This page shows how many there are, "
        "where they come from, how bright they are before and after equalisation, and how training "
        "balances them."
    )
)
found = data.statistics()
if found is None:
    st.stop()

st.subheader(_("Images per class"), anchor=False)
data.show_counts(found)
st.subheader(_("Sources per class"), anchor=False)
data.show_sources(found)
st.subheader(_("Brightness"), anchor=False)
data.show_brightness(found)
st.subheader(_("Grey levels"), anchor=False)
data.show_levels(found)
st.subheader(_("Darkest, median and brightest"), anchor=False)
data.show_examples(found)
st.subheader(_("Near-duplicates"), anchor=False)
data.show_duplicates(found)
st.subheader(_("Balanced batches"), anchor=False)
data.show_batches(found)
data.show_provenance(found)
