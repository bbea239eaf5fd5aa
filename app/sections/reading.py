"""The parts of the reading page before there is an answer: films, examples, models."""

import streamlit as st

from app.session import cases
from app.session.language import gettext as _
from app.session.language import sentence
from app.views.markdown import escape
from app.views.names import model_names
from pipeline.data.phantom import EXAMPLES
from pipeline.models import registry
from pipeline.models.registry import WeightsError


def take_films() -> None:
    """Drop or choose files; several at once."""
    uploaded = st.file_uploader(
        _("Drop chest radiographs here (PNG, JPEG, BMP, TIFF, WebP or DICOM)"),
        accept_multiple_files=True,
        key="uploads",
        help=_("Frontal radiographs of adults. Nothing you upload is stored."),
        on_change=_uploads_changed,
    )
    if st.session_state.pop("uploads_changed", False):
        with st.spinner(_("Reading the image…")):
            cases.take_uploads(uploaded)


def choose_example() -> None:
    """Try a synthetic film, or one of the database where it is installed."""
    chosen = st.pills(
        _("Or try a synthetic image (drawn by a program, no patient)"),
        list(EXAMPLES),
        format_func=_example_names().get,
        key="example",
    )
    if chosen != st.session_state.get("last_example"):
        st.session_state["last_example"] = chosen
        if chosen:
            cases.open_example(chosen)
    _choose_database_film()


def _example_names() -> dict[str, str]:
    return {
        "clear": _("Normal lungs"),
        "opacities": _("With opacities"),
        "inverted": _("Inverted"),
        "underexposed": _("Underexposed"),
        "rotated": _("Rotated"),
        "lettering": _("With lettering"),
    }


def pick_example(name: str) -> None:
    """Open a synthetic film as if it had been chosen here; for callbacks."""
    st.session_state["example"] = st.session_state["last_example"] = name
    cases.open_example(name)


def _uploads_changed() -> None:
    st.session_state["uploads_changed"] = True


def _choose_database_film() -> None:
    films = cases.database_films()
    if not films:
        return
    with st.expander(_("Or an image of the database not used for training")):
        label = st.selectbox(_("Class"), list(films), key="database_class")
        index = st.number_input(
            _("Number (of {count})").format(count=len(films[label])), 1, len(films[label]), 1
        )
        if st.button(_("Open this image")):
            cases.open_database_film(label, index - 1)


def choose_model(key: str = "model") -> str:
    """The models whose weights are there, each with a line on what it is for."""
    purposes = {
        "light": _("Small and fast."),
        "xception": _("Larger and slower; separates four classes."),
    }
    names = registry.classifiers()
    if not names:
        raise WeightsError("weights_missing", file="light.weights.h5")
    return st.radio(
        _("Model"),
        names,
        format_func=model_names().get,
        captions=[purposes[name] for name in names],
        key=key,
    )


def show_refused() -> None:
    """A sentence for every file that could not be read."""
    for name, message in cases.refused():
        st.error(f"**{escape(name)}**: {sentence(message)}", icon=":material/error:")


def choose_case() -> cases.Case | None:
    """The film to read; a choice appears once there are several."""
    held = cases.cases()
    if st.session_state.pop("let_go", False):
        st.caption(_("Too many images in this session: the oldest were removed. Drop them again."))
    if len(held) > 1:
        # A widget's own state is dropped on another page; "case" is ours and stays.
        st.session_state["film"] = st.session_state["case"]
        st.selectbox(
            _("Image"),
            list(held),
            format_func=lambda key: title_of(held[key]),
            key="film",
            on_change=lambda: st.session_state.update(case=st.session_state["film"]),
        )
    return cases.selected_case()


def show_empty_state() -> None:
    """What to do and what to expect, before there is a film."""
    st.info(
        _(
            "Drop a radiograph above, or choose a synthetic one. You will see the image, the lungs "
            "found by the model, a COVID score with its threshold, and where the score comes from."
        ),
        icon=":material/radiology:",
    )
    teach = (
        _("**1. Lungs.** A first network outlines them. Nothing outside them is scored."),
        _(
            "**2. Score.** From 0 to 1, with a threshold. It ranks images by how much they "
            "resemble COVID images; it is not a probability of disease."
        ),
        _(
            "**3. Heatmap.** Where the score comes from. It does not delineate lesions, and is "
            "empty where there is no evidence."
        ),
    )
    for column, text in zip(st.columns(len(teach)), teach, strict=True):
        column.markdown(text)
    st.markdown(
        _(
            "An image that is inverted, rotated or not a frontal chest radiograph gets no score; "
            "the page says why."
        )
    )


def title_of(case: cases.Case) -> str:
    """What a case is called on the page."""
    if case.origin == "synthetic":
        name = case.name.removesuffix(".png")  # as the work list calls it
        return _("Synthetic: {name}").format(name=_example_names().get(name, name))
    return case.name
