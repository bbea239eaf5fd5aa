"""The parts of the page on bias: what moves the score of a model that sees the whole film."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.components.save import save
from app.components.viewer import show_viewer
from app.sections.answer import heat_layer, viewer_words
from app.session import cases
from app.session.language import gettext as _
from app.session.language import number, sentence
from app.views import bias as slides
from app.views import film as views
from app.views.names import labelled, model_names
from pipeline.data.artefacts import KINDS, paint
from pipeline.models import registry
from pipeline.release.measurements import measured

if TYPE_CHECKING:  # it loads TensorFlow
    from pipeline.inference.diagnosis import Diagnosis

MODELS = ("cnn2", "light", "xception")


def models() -> list[str]:
    """CNN-2 and the masked models whose weights are there; says so where CNN-2 is missing."""
    there = registry.classifiers(every=True)
    if "cnn2" not in there:
        st.info(
            _(
                "The weights of CNN-2, which sees the whole image, are not installed: {command} "
                "creates them. Only the masked models are shown below."
            ).format(command="`python -m pipeline train cnn2 --data DIR`"),
            icon=":material/info:",
        )
    return [name for name in MODELS if name in there]


def paint_on(case: cases.Case) -> np.ndarray:
    """Let the reader paint something; returns the painted film."""
    words = {"text": _("Lettering"), "electrode": _("Electrode"), "tube": _("Tube")}
    what, where = st.columns(2)
    with what:
        kind = st.segmented_control(
            _("Draw"), KINDS, format_func=words.get, default="text", required=True, key="ink"
        )
        text = ""
        if kind == "text":
            text = st.text_input(_("Text"), "PORTABLE", max_chars=12, key="ink_text")
        size = st.slider(_("Size, % of the image"), 2, 20, 6, key="ink_size")
    with where:
        row = st.slider(_("From the top, % of the image"), 0, 100, 6, key="ink_row")
        column = st.slider(_("From the left, % of the image"), 0, 100, 20, key="ink_column")
    film = case.radiograph.pixels
    return paint(film, kind or "text", row / 100, column / 100, size / 100, text or "R")


def ask(case: cases.Case, painted: np.ndarray, names: list[str]) -> dict[str, tuple]:
    """Every model's answer to the film and to the painted film."""
    radiograph = replace(case.radiograph, pixels=painted, sha256="painted")
    with st.spinner(_("Finding the lungs and computing the score…")):
        return {
            name: (
                cases.diagnosis_of(case, name),
                cases.ask(radiograph, name),
            )
            for name in names
        }


def show_scores(answers: dict[str, tuple]) -> None:
    """Scores before and after, and which one moves."""
    names = model_names()
    for column, (name, (before, after)) in zip(
        st.columns(len(answers)), answers.items(), strict=True
    ):
        with column:
            st.markdown(f"**{names[name]}**")
            if not (before.verdict.may_score and after.verdict.may_score):
                st.markdown(_("**No score for this image.**"))
                reasons = after.verdict.reasons or before.verdict.reasons
                st.caption(" ".join(sentence(reason) for reason in reasons))
                continue
            change = after.score - before.score
            st.metric(
                _("COVID score after drawing"),
                number(after.score),
                ("-" if change < 0 else "+") + number(abs(change), 3),  # its arrow needs a hyphen
                delta_color="off",
            )
            sides = _("The result changes.") if before.positive != after.positive else ""
            threshold = _("Before: {score}; threshold {threshold}.").format(
                score=number(before.score), threshold=number(before.threshold)
            )
            st.caption(f"{threshold} {sides}")


def show_heatmaps(answers: dict[str, tuple]) -> None:
    """Where each model's evidence lies on the painted film."""
    names = model_names()
    films = {name: after for name, (_before, after) in answers.items()}
    scored = {name: after for name, after in films.items() if after.verdict.may_score}
    show_viewer(
        {
            "films": {"film": views.film_url(next(iter(films.values())).radiograph)},
            "outlines": {name: views.outlines(d) for name, d in films.items()},
            "heats": {name: heat_layer(d, d.cam) for name, d in scored.items()},
            "choose": [],
            "heat": "",
            "panes": [
                {"caption": names[name], "film": "film", "outline": name}
                | ({"heat": name} if name in scored else {})
                for name in films
            ],
            "colours": views.colours(),
            "words": viewer_words(),
        },
        key="bias_viewer",
    )


def variant_words() -> dict[str, str]:
    """What a model is shown in place of the film."""
    return {
        "full": _("unchanged image"),
        "background_only": _("background only, lungs removed"),
        "mask_shape": _("mask shape alone"),
        "lungs_black": _("lungs blacked out"),
    }


def variants(case: cases.Case, names: list[str]) -> dict[str, dict[str, float]]:
    """Every model's score of what is left when something is taken away."""
    from pipeline.evaluation.ablation import score_replaced

    key = (case.radiograph.key, *names)
    if st.session_state.get("variants_of") != key:
        scores = {}
        with st.spinner(_("Removing parts of the image…")):
            for name in names:
                whole = cases.diagnosis_of(case, name)
                scores[name] = {"full": whole.score} | score_replaced(
                    case.radiograph.pixels, whole.answer, cases.prepare(name).result()
                )
            st.session_state["variants"] = scores
        st.session_state["variants_of"] = key
    return st.session_state["variants"]


def show_variants(scores: dict[str, dict[str, float]]) -> None:
    """The film at hand beside the test films."""
    names = model_names()
    rows = []
    for variant, word in variant_words().items():
        row = {_("Model input"): word}
        for name, scored in scores.items():
            row[_("{model}: this image").format(model=names[name])] = number(scored[variant])
            row[_("{model}: AUC on test images").format(model=names[name])] = _auc(name, variant)
        rows.append(row)
    st.table(rows)
    st.caption(
        _(
            "An AUC of 0.5 is chance. What a masked model still gets from the background or the "
            "mask shape alone is what masking cannot remove."
        )
    )


def _auc(model: str, variant: str) -> str:
    judged = measured(model, "lungs")
    if not judged:
        return _("not measured")
    auc = judged["variants"][variant]["auc"]
    value, low, high = (number(auc[key], 3) for key in ("value", "low", "high"))
    return f"{value} ({low} – {high}; n = {number(auc['n'], 0)})"


def show_what_remains() -> None:
    """What masking does not repair."""
    sentences = [
        _(
            "Masking hides lettering, tubes outside the lungs and the image borders. It does not "
            "hide sharpness, noise and contrast inside the lungs, which differ between hospitals."
        ),
        _(
            "In this database no hospital contributed both COVID images and others: inside the "
            "lungs, too, a model can learn to recognise the equipment and be right for the wrong "
            "reason."
        ),
        _(
            "The mask itself carries information: the table above shows how much its shape alone "
            "reveals."
        ),
        _(
            "The viral pneumonia images are all of children: chest size alone reveals this class, "
            "whatever the disease."
        ),
    ]
    st.markdown("\n".join(f"- {sentence}" for sentence in sentences))


@st.fragment
def offer_slide(case: cases.Case, answers: dict[str, tuple[Diagnosis, Diagnosis]]) -> None:
    """Film, painted film and every model's heatmap as one picture for a slide."""
    note = _("Not for diagnostic use.")
    if case.origin == "synthetic":
        note = _("Synthetic image. Not for diagnostic use.")
    titles = {
        name: labelled(model_names()[name], f"{_score(before)} → {_score(after)}")
        for name, (before, after) in answers.items()
    }
    with st.container(horizontal=True):
        for form, kind in (("svg", "image/svg+xml"), ("png", "image/png")):
            label = _("Comparison as {form}").format(form=form.upper())
            if st.button(label, key=f"bias_{form}", icon=":material/download:"):
                slide = slides.slide(
                    answers, titles, (_("Image"), _("With the drawing")), note, form
                )
                save(slide, f"pulmoscope-bias.{form}", kind)


def _score(diagnosis: Diagnosis) -> str:
    return number(diagnosis.score) if diagnosis.verdict.may_score else _("no score")
