"""The parts of the reading page."""

import streamlit as st

from app import inference
from app.language import gettext as _
from app.language import number, percent
from app.views.film import film_picture, heatmap_picture, lung_picture
from app.views.score import score_bar
from pipeline import registry
from pipeline.diagnosis import Diagnosis
from pipeline.evidence import scores_on_test_films
from pipeline.phantom import EXAMPLES


def take_films() -> None:
    """Drop or choose files; several at once."""
    uploaded = st.file_uploader(
        _("Drop chest radiographs here (PNG, JPEG, BMP, TIFF, WebP or DICOM)"),
        accept_multiple_files=True,
        key="uploads",
        help=_("Frontal films, adult. Nothing you upload is stored."),
        on_change=_uploads_changed,
    )
    if st.session_state.pop("uploads_changed", False):
        with st.spinner(_("Reading the film …")):
            inference.take_uploads(uploaded)


def choose_example() -> None:
    """Try a synthetic film, or one of the database where it is installed."""
    names = {
        "clear": _("Clear lungs"),
        "opacities": _("With opacities"),
        "inverted": _("Inverted"),
        "underexposed": _("Underexposed"),
        "rotated": _("Rotated"),
        "lettering": _("With lettering"),
    }
    chosen = st.pills(
        _("Or try a synthetic film (drawn by a program, no patient)"),
        list(EXAMPLES),
        format_func=names.get,
        key="example",
    )
    if chosen != st.session_state.get("last_example"):
        st.session_state["last_example"] = chosen
        if chosen:
            inference.open_example(chosen)
    _choose_database_film()


def _uploads_changed() -> None:
    st.session_state["uploads_changed"] = True


def _choose_database_film() -> None:
    films = inference.database_films()
    if not films:
        return
    with st.expander(_("Or a film of the database that training never saw")):
        label = st.selectbox(_("Class"), list(films), key="database_class")
        index = st.number_input(
            _("Number (of {count})").format(count=len(films[label])), 1, len(films[label]), 1
        )
        if st.button(_("Open this film")):
            inference.open_database_film(label, index - 1)


def choose_model() -> str:
    """The models whose weights are there, each with a line on what it is for."""
    lines = {
        "light": _("Light CNN: small and fast"),
        "xception": _("Xception: slower, surer of its answer"),
    }
    names = registry.classifiers()
    return st.radio(_("Model"), names, format_func=lambda name: lines.get(name, name), key="model")


def show_refused() -> None:
    """A sentence for every file that could not be read."""
    for name, message in inference.refused().items():
        st.error(f"**{_escape(name)}**: {message.sentence(_)}", icon=":material/error:")


def choose_case() -> inference.Case | None:
    """The film to read; a choice appears once there are several."""
    cases = inference.cases()
    if len(cases) > 1:
        # A widget's own state is dropped on another page; "case" is ours and stays.
        st.session_state["film"] = st.session_state["case"]
        st.selectbox(
            _("Film"),
            list(cases),
            format_func=lambda key: _title(cases[key]),
            key="film",
            on_change=lambda: st.session_state.update(case=st.session_state["film"]),
        )
    return inference.selected_case()


def show_empty_state() -> None:
    """What to do, before there is a film."""
    st.info(
        _(
            "Drop a film above, or pick a synthetic one. You will see the film, the lungs that "
            "the model found, a COVID score with its threshold, and where in the lungs the score "
            "comes from."
        ),
        icon=":material/radiology:",
    )


def show_origin(case: inference.Case) -> None:
    """Say where the film comes from, when it is no upload."""
    if case.origin == "synthetic":
        st.info(
            _(
                "**Synthetic film.** Drawn by a program: its score shows how the app works and "
                "says nothing of any patient."
            ),
            icon=":material/draw:",
        )
    elif case.origin == "database":
        st.info(
            _("Film {name} of the database, class {truth}.").format(
                name=case.name, truth=case.truth
            ),
            icon=":material/database:",
        )


def show_verdict(case: inference.Case, diagnosis: Diagnosis) -> None:
    """The score with its threshold and meaning, or why it is withheld."""
    if not diagnosis.verdict.may_score:
        reasons = [f"- {reason.sentence(_)}" for reason in diagnosis.verdict.reasons]
        st.warning(
            _("**No score for this film.**") + "\n\n" + "\n".join(reasons),
            icon=":material/block:",
        )
        for reason in diagnosis.verdict.reasons:
            if reason.code in inference.REPAIRS:
                label = _("Invert the film") if reason.code == "inverted" else _("Turn the film")
                st.button(label, on_click=inference.repair, args=(case, reason.code))
        return
    score, threshold = diagnosis.score, diagnosis.threshold
    word = _("COVID-19 suspected") if diagnosis.positive else _("COVID-19 not suspected")
    relation = _("at or above the threshold") if diagnosis.positive else _("below the threshold")
    st.subheader(f"{word}", anchor=False)
    sentence = _("COVID score {score}, {relation} {threshold}.").format(
        score=number(score), relation=relation, threshold=number(threshold)
    )
    st.markdown(sentence)
    st.html(score_bar(score, threshold, sentence))


def choose_method(diagnosis: Diagnosis) -> str:
    """The heatmap method; the model's own default first chosen."""
    names = list(diagnosis.cam_scale)
    return st.selectbox(_("Heatmap method"), names, index=names.index(diagnosis.cam), key="cam")


def show_meaning(diagnosis: Diagnosis) -> None:
    """What the score says and what it does not."""
    if not diagnosis.verdict.may_score:
        return
    scores = scores_on_test_films(diagnosis.model)
    text = _(
        "The score orders films by how much they resemble the COVID films of the database; it is "
        "not the probability that this patient is ill. In that database COVID films come from "
        "other hospitals than the rest, so the score measures disease and source together."
    )
    if scores:
        text += " " + _(
            "At this threshold the model called {sensitivity} of the COVID films and "
            "{wrong} of the others COVID, on {n} test films that training never saw."
        ).format(
            sensitivity=_interval(scores["sensitivity"]),
            wrong=_interval(_complement(scores["specificity"])),
            n=scores["n"],
        )
    st.markdown(text)


def _interval(scored: dict) -> str:
    return _("{value} (95 % interval {low} to {high})").format(
        value=percent(scored["value"], 1),
        low=percent(scored["low"], 1),
        high=percent(scored["high"], 1),
    )


def _complement(scored: dict) -> dict:
    return {
        "value": 1 - scored["value"],
        "low": 1 - scored["high"],
        "high": 1 - scored["low"],
    }


def show_pictures(diagnosis: Diagnosis, contour: float, heat: float, cam: str) -> None:
    """Film, lungs and heatmap side by side."""
    film, lungs, heatmap = st.columns(3)
    with film:
        st.image(film_picture(diagnosis), caption=_("Film"), width="stretch")
    with lungs:
        area = percent(diagnosis.lung_area_fraction)
        caption = _("Lungs found by the U-Net ({area} of the film)").format(area=area)
        st.image(lung_picture(diagnosis, contour), caption=caption, width="stretch")
    with heatmap:
        if not diagnosis.verdict.may_score:
            st.info(_("No heatmap: the score is withheld."), icon=":material/block:")
            return
        caption = _(
            "Where the evidence for COVID lies ({cam}): violet is weak, yellow strong, on one "
            "scale for all films"
        ).format(cam=cam)
        st.image(heatmap_picture(diagnosis, cam, heat), caption=caption, width="stretch")


def show_details(case: inference.Case, diagnosis: Diagnosis) -> None:
    """What a careful reader asks next."""
    seconds = number(diagnosis.seconds, 2)
    st.caption(_("Computed in {seconds} s. Not for diagnostic use.").format(seconds=seconds))
    with st.expander(_("Details")):
        rows, columns = diagnosis.radiograph.shape
        st.json(
            diagnosis.as_dict()
            | {
                "format": diagnosis.radiograph.format,
                "rows": rows,
                "columns": columns,
                "bits": diagnosis.radiograph.bits,
            }
        )


def _title(case: inference.Case) -> str:
    if case.origin == "synthetic":
        return _("Synthetic: {name}").format(name=_(case.name))
    return case.name


def _escape(name: str) -> str:
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|<>$~:" else c for c in name)
