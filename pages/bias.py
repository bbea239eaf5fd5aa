"""Why cut out the lungs? What moves a model that sees the whole film, and what still may."""

import streamlit as st

from app.sections import bias, preprocessing
from app.session.language import gettext as _

st.title(_("Why cut out the lungs?"))
st.markdown(
    _(
        "A network that may look anywhere looks wherever it pays: at lettering, tubes, the border. "
        "CNN-2 of the report sees the whole film; the light CNN and Xception see the lungs alone. "
        "Paint something on a film, anywhere, and see whose score moves."
    )
)
case = preprocessing.choose_case()
models = bias.models()

answers = bias.ask(case, bias.paint_on(case), models)
bias.show_scores(answers)
bias.show_heatmaps(answers)
bias.offer_slide(case, answers)

st.subheader(_("What is left when something is taken away"), anchor=False)
bias.show_variants(bias.variants(case, models))
st.subheader(_("What remains confounded"), anchor=False)
bias.show_what_remains()
