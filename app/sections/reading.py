"""The parts of the reading page before there is an answer: films, examples, models."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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
        on_change=_fold,
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
    st.session_state["example"] = st.session_state["last_example"] = None
    _fold()


def _fold() -> None:
    """Close the popover, so that it does not cover the film that was chosen in it."""
    st.session_state["source"] = False


def _choose_database_film() -> None:
    films = cases.database_films()
    if not films:
        return
    with st.expander(_("Or an image of the database not used for training")):
        label = st.selectbox(_("Class"), list(films), key="database_class")
        index = st.number_input(
            _("Number (of {count})").format(count=len(films[label])), 1, len(films[label]), 1
        )
        st.button(_("Open this image"), on_click=_open_database_film, args=(label, index - 1))


def _open_database_film(label: str, number: int) -> None:
    cases.open_database_film(label, number)
    _fold()


def choose_model(key: str = "model", explained: bool = True) -> str:
    """The models whose weights are there; ``explained``: each with a line on what it is for."""
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
        captions=[purposes[name] for name in names] if explained else None,
        horizontal=not explained,
        label_visibility="visible" if explained else "collapsed",
        key=key,
    )


def open_another() -> None:
    """All that opens a film, folded into a button once there is one."""
    folded = st.popover(
        _("Open another image"), icon=":material/upload_file:", key="source", on_change="rerun"
    )
    with folded:
        take_films()
        choose_example()


def has_film() -> bool:
    """Whether there is a film to read, or one is about to be opened in this run."""
    state = st.session_state
    chosen = state.get("example")
    newly = chosen is not None and chosen != state.get("last_example")
    return bool(cases.selected_case() or state.get("uploads_changed") or newly)


def show_header(case: cases.Case) -> tuple[str, DeltaGenerator]:
    """What is being read, where it comes from, and by which model.

    Returns the model and a place for the time it took.
    """
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="reading_header"
    ):
        held = cases.cases()
        if len(held) > 1:
            choose_case(width=260)
        else:
            st.markdown(f"**{escape(title_of(case))}**", width="content")
        st.caption(_origin(case), width="content")
        model = choose_model(explained=False)
        return model, st.empty()


def _origin(case: cases.Case) -> str:
    if case.origin == "database":
        return _("database, class {truth}").format(truth=escape(case.truth or ""))
    if case.origin == "synthetic":
        return _("drawn by a program")
    return escape(case.radiograph.format)


def show_refused() -> None:
    """A sentence for every file that could not be read."""
    for name, message in cases.refused():
        st.error(f"**{escape(name)}**: {sentence(message)}", icon=":material/error:")


def note_what_was_let_go() -> None:
    """Say that films had to go, where some had."""
    if st.session_state.pop("let_go", False):
        st.caption(_("Too many images in this session: the oldest were removed. Drop them again."))


def choose_case(width: int | str = "stretch") -> None:
    """Turn to another film of the session, where there is one."""
    held = cases.cases()
    if not held:
        return
    # A widget's own state is dropped on another page; "case" is ours and stays.
    st.session_state["film"] = st.session_state.get("case")
    st.selectbox(
        _("Image"),
        list(held),
        format_func=lambda key: title_of(held[key]),
        key="film",
        index=None,
        placeholder=_("Images of this session"),
        on_change=lambda: st.session_state.update(case=st.session_state["film"]),
        label_visibility="collapsed",
        width=width,
    )


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
