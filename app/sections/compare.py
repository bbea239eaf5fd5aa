"""The parts of the comparing page: two models on one film, or two films of one patient."""

import streamlit as st

from app.components.viewer import show_viewer
from app.sections.answer import difference_layer, heat_layer, viewer_words
from app.sections.reading import title_of
from app.session import cases
from app.session.language import gettext as _
from app.session.language import number, percent, sentence
from app.views import film as views
from app.views.markdown import escape
from app.views.names import model_names
from pipeline.inference.diagnosis import Diagnosis
from pipeline.models import registry

ROOT = registry.ROOT
FILMS, MODELS = "films", "models"


def choose_question() -> str:
    """What is to be compared; models only where there are two."""
    names = {FILMS: _("Two images of one patient"), MODELS: _("Both models on one image")}
    offered = [MODELS, FILMS] if len(registry.classifiers()) > 1 else [FILMS]
    st.session_state.setdefault("question", offered[0])
    chosen = st.segmented_control(_("Compare"), offered, format_func=names.get, key="question")
    return chosen or offered[0]


def pick_films(earlier: str, later: str) -> None:
    """Choose two of the session's films, by their keys; for callbacks."""
    chosen = {"question": FILMS, "earlier_film": earlier, "later_film": later}
    st.session_state.update(chosen)


def show_empty_state(needed: int) -> None:
    """What the page shows, what is missing for it, and where to get it."""
    if needed == 1:
        st.info(
            _("Open an image first: drop one on the page Read a radiograph, or choose an example.")
        )
    else:
        st.info(
            _(
                "Open two images first: drop them on the page Read a radiograph, or choose "
                "examples. Then choose here which is the earlier and which the later one."
            )
        )
    st.markdown(
        _(
            "The images are shown side by side with the same zoom, window and colour scale, so "
            "that a visible difference is a real one. The page also shows how far the scores and "
            "the lung masks agree."
        )
    )
    with st.container(horizontal=True):
        st.button(_("Try it with synthetic images"), on_click=_try, icon=":material/draw:")
        st.page_link(str(ROOT / "pages/diagnose.py"), label=_("Read a radiograph"))


def _try() -> None:
    for name in ("clear", "opacities"):
        cases.open_example(name)


def choose_film(label: str, key: str, index: int | None = None) -> cases.Case:
    """One of the session's images; at first the one at ``index``, or else the one being read."""
    held = cases.cases()
    keys = list(held)
    if st.session_state.get(key) not in keys:
        read = st.session_state.get("case")
        at = keys.index(read) if index is None and read in keys else index or 0
        st.session_state[key] = keys[min(at, len(keys) - 1)]
    chosen = st.selectbox(
        label,
        keys,
        format_func=lambda sha256: title_of(held[sha256]),
        key=key,
    )
    return held[chosen]


def ask(case: cases.Case, models: list[str]) -> list[Diagnosis]:
    """What the models say of a film; those not asked before are asked now."""
    with st.spinner(_("Finding the lungs and computing the score…")):
        return [cases.diagnosis_of(case, model) for model in models]


def show_scores(titles: list[str], diagnoses: list[Diagnosis]) -> None:
    """Scores side by side, each with its own threshold, or why there is none."""
    for column, title, diagnosis in zip(st.columns(len(diagnoses)), titles, diagnoses, strict=True):
        with column:
            st.markdown(f"**{escape(title)}**")
            if not diagnosis.verdict.may_score:
                st.markdown(_("**No score for this image.**"))
                st.caption(" ".join(sentence(reason) for reason in diagnosis.verdict.reasons))
                continue
            word = _("COVID-19 suspected") if diagnosis.positive else _("COVID-19 not suspected")
            st.markdown(
                _("{word}: score {score}, threshold {threshold}").format(
                    word=word,
                    score=number(diagnosis.score),
                    threshold=number(diagnosis.threshold),
                )
            )
            area = percent(diagnosis.lung_area_fraction)
            st.caption(_("Lungs found by the U-Net ({area} of the image)").format(area=area))


def show_models(first: Diagnosis, second: Diagnosis) -> None:
    """Masks, heatmaps and their difference on one film, aligned."""
    names = [model_names()[d.model] for d in (first, second)]
    panes = [
        {"caption": name, "film": "film", "outline": d.model, "heat": d.model}
        for name, d in zip(names, (first, second), strict=True)
    ]
    panes.append({"caption": _("Where they differ"), "film": "film", "heat": "difference"})
    scored = [d for d in (first, second) if d.verdict.may_score]
    heats = {d.model: heat_layer(d, d.cam) for d in scored}
    if len(scored) == 2:
        heats["difference"] = difference_layer(first, second)
    overlap = views.mask_overlap(first, second)
    _show({"film": first}, panes, {d.model: d for d in (first, second)}, heats, [])
    st.caption(_("Dice between the two lung masks: {dice}.").format(dice=number(overlap, 3)))


def show_films(titles: list[str], diagnoses: list[Diagnosis]) -> None:
    """Two films with one window, one zoom and one colour scale."""
    films = {f"film{i}": d for i, d in enumerate(diagnoses)}
    panes = [
        {"caption": title, "film": name, "outline": name, "heat": "chosen"}
        for title, name in zip(titles, films, strict=True)
    ]
    heats = {
        f"{name}/{cam}": heat_layer(d, cam)
        for name, d in films.items()
        if d.verdict.may_score
        for cam in d.cam_scale
    }
    _show(films, panes, films, heats, list(diagnoses[0].cam_scale))


def show_change(first: Diagnosis, second: Diagnosis) -> None:
    """How the score moved, and what that may mean."""
    if not (first.verdict.may_score and second.verdict.may_score):
        return
    change = second.score - first.score
    st.markdown(
        _(
            "From the first image to the second the score changes by **{change}**. Positioning, "
            "exposure and equipment change it as much as disease does: the models were not trained "
            "on follow-up images."
        ).format(change=("+" if change > 0 else "") + number(change))
    )


def _show(films: dict, panes: list, outlined: dict, heats: dict, choose: list) -> None:
    show_viewer(
        {
            "films": {k: views.film_url(d.radiograph) for k, d in films.items()},
            "outlines": {k: views.outlines(d) for k, d in outlined.items()},
            "heats": heats,
            "choose": choose if heats else [],
            "heat": next(iter(films.values())).cam,
            "panes": panes,
            "colours": views.colours(),
            "words": viewer_words(),
        },
        key="comparing_viewer",
    )
