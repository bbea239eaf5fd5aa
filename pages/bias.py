"""Why cut out the lungs? What moves a model that sees the whole film, and what still may."""

import streamlit as st

from app.sections import bias, preprocessing
from app.session.language import gettext as _

st.title(_("Why cut out the lungs?"))
st.markdown(
    _(
        "An unmasked network exploits any shortcut: lettering, tubes, borders. CNN-2 of the "
        "original report sees the whole image; the light CNN and Xception see only the lungs. Draw "
        "something anywhere on an image and see which score changes."
    )
)
case = preprocessing.choose_case()
models = bias.models()

answers = bias.ask(case, bias.paint_on(case), models)
bias.show_scores(answers)
bias.show_heatmaps(answers)
bias.offer_slide(case, answers)

st.subheader(_("Scores after removing parts of the image"), anchor=False)
bias.show_variants(bias.variants(case, models))
st.subheader(_("Remaining confounders"), anchor=False)
bias.show_what_remains()
