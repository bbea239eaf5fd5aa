"""The parts of the reading page that show an answer: verdict, score, pictures, meaning."""

from collections.abc import Iterator
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.components.viewer import show_viewer
from app.session import cases
from app.session.language import current, number, percent, sentence, significant
from app.session.language import gettext as _
from app.views import film as views
from app.views.names import class_names, labelled, method_names, model_names
from app.views.score import score_bar, score_line, share_bars
from pipeline.evaluation.calibration import at_prevalence, calibrated, joint
from pipeline.explain.gradcam import raw_map
from pipeline.explain.significance import SIGNIFICANT, heatmap_p
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import REPAIRS
from pipeline.models import registry
from pipeline.models.triage import UNCERTAIN
from pipeline.release.measurements import measured, measured_together, scores_on_test_films
from pipeline.report.wording import triage_guarantee, triage_names

COLUMNS = (8, 5)  # picture, and what is said of it


def time_taken(diagnosis: Diagnosis) -> str:
    """How long the models took."""
    return _("computed in {seconds} s").format(seconds=number(diagnosis.seconds, 2))


def show_notes(case: cases.Case) -> None:
    """Say of a synthetic film what its score is worth, and how a file was read."""
    if case.origin == "synthetic":
        text = _(
            "**Synthetic image.** Drawn by a program: its score shows how the app works and says "
            "nothing about any patient."
        )
        st.caption(f":material/draw: {text}")
    for note in case.radiograph.notes:
        st.info(sentence(note), icon=":material/info:")


def show_film_at_once(case: cases.Case) -> None:
    """The film alone, in the place of its pictures, while the answer is still being computed."""
    st.image(views.film_png(case.radiograph), alt=_("Image"), width="stretch")


def show_verdict(case: cases.Case, diagnosis: Diagnosis) -> None:
    """The score with its threshold and meaning, or why it is withheld."""
    if not diagnosis.verdict.may_score:
        reasons = [f"- {sentence(reason)}" for reason in diagnosis.verdict.reasons]
        st.warning(
            _("**No score for this image.**") + "\n\n" + "\n".join(reasons),
            icon=":material/block:",
        )
        for reason in diagnosis.verdict.reasons:
            if reason.code in REPAIRS:
                label = (
                    _("Invert the image") if reason.code == "inverted" else _("Rotate the image")
                )
                st.button(label, on_click=cases.repair, args=(case, reason.code))
        return
    score = st.container()
    _show_score(score, diagnosis, _choose_threshold(diagnosis))


def as_chosen(diagnosis: Diagnosis) -> Diagnosis:
    """The answer at the operating point that the reader chose."""
    points = registry.entry(diagnosis.model).operating_points or {}
    chosen = points.get(st.session_state.get("point"), diagnosis.threshold)
    return replace(diagnosis, threshold=chosen)


def _choose_threshold(diagnosis: Diagnosis) -> float:
    """The operating point; the app's own is chosen first."""
    names = {
        "own": _("Default"),
        "screening": _("Screening (sensitivity 95%)"),
        "balanced": _("Balanced (Youden)"),
        "confirming": _("Confirmation (specificity 98%)"),
    }
    points = registry.entry(diagnosis.model).operating_points or {}
    thresholds = {"own": diagnosis.threshold} | points
    chosen = st.selectbox(
        _("Operating point"),
        list(thresholds),
        format_func=lambda key: labelled(names.get(key, key), number(thresholds[key])),
        key="point",
        help=_(
            "An image with this score or more is classified as COVID. Chosen on validation images."
        ),
    )
    return thresholds[chosen]


def _show_score(place: DeltaGenerator, diagnosis: Diagnosis, threshold: float) -> None:
    positive = diagnosis.score >= threshold
    words = [_("COVID-19 suspected") if positive else _("COVID-19 not suspected")]
    if diagnosis.triage == UNCERTAIN:
        words.append(_("borderline"))
    relation = _("at or above the threshold of") if positive else _("below the threshold of")
    said = _("COVID score {score}, {relation} {threshold}.").format(
        score=number(diagnosis.score), relation=relation, threshold=number(threshold)
    )
    ends = (_("0: unlike COVID images"), _("1: like COVID images"))
    zones = (_("unlikely"), _("uncertain"), _("likely"))
    bar = score_bar(
        diagnosis.score, threshold, said, number(threshold), ends, diagnosis.triage_limits, zones
    )
    with place:
        st.html(score_line(number(diagnosis.score), words) + bar)
        st.markdown(said)
    if diagnosis.triage:
        answer = labelled(_("Triage"), triage_names(_)[diagnosis.triage])
        guarantee = triage_guarantee(diagnosis.triage_limits, _, current())
        st.markdown(f"**{answer}**", help=guarantee)


def show_classes(diagnosis: Diagnosis) -> None:
    """The shares of the four classes, of the model that separates them."""
    shares = diagnosis.class_shares
    if not shares:
        return
    names = class_names()
    bars = {names[label]: (share, percent(share)) for label, share in shares.items()}
    label = ", ".join(labelled(name, text) for name, (_share, text) in bars.items())
    st.html(share_bars(bars, label))


@st.fragment
def show_probability(diagnosis: Diagnosis) -> None:
    """The calibrated score at the prevalence that the reader sets."""
    if not diagnosis.verdict.may_score:
        return
    st.session_state.setdefault("prevalence", 10.0)
    with st.expander(_("How many such images would be COVID?")):
        share = st.slider(
            _("Prevalence of COVID-19 among your patients"),
            0.5,
            80.0,
            step=0.5,
            format="%.1f %%",
            key="prevalence",
        )
        calibration = registry.entry(diagnosis.model).calibration
        probability = at_prevalence(calibrated(diagnosis.score, *calibration), share / 100)
        st.markdown(
            _(
                "Of images with this score, about **{probability}** would be COVID at this "
                "prevalence, **if** your images and patients were like those of the database, "
                "which has not been shown."
            ).format(probability=percent(float(probability), 1))
        )


def show_agreement(case: cases.Case, diagnosis: Diagnosis) -> None:
    """What the other models say of this film, where they have been asked or can be."""
    others = [name for name in registry.classifiers() if name != diagnosis.model]
    for name in others:
        if name not in case.answers:
            label = _("Also read with {model}").format(model=model_names()[name])
            if not st.button(label, key=f"ask_{name}", icon=":material/compare:"):
                continue
            with st.spinner(_("Finding the lungs and computing the score…")):
                cases.diagnosis_of(case, name)
            st.rerun()  # without the button
        other = as_chosen(case.answers[name])
        if not (other.verdict.may_score and diagnosis.verdict.may_score):
            continue
        said = as_chosen(diagnosis)
        agree = other.positive == said.positive
        text = (
            _("**The models agree**: {model} gives {score} (threshold {threshold}).")
            if agree
            else _("**The models disagree**: {model} gives {score} (threshold {threshold}).")
        )
        st.markdown(
            text.format(
                model=model_names()[name],
                score=number(other.score),
                threshold=number(other.threshold),
            )
        )
        if (said.threshold, other.threshold) == (diagnosis.threshold, case.answers[name].threshold):
            _show_what_that_was_worth(diagnosis, other)  # measured at the app's own thresholds


def _show_what_that_was_worth(diagnosis: Diagnosis, other: Diagnosis) -> None:
    """What two answers say together, and how often such answers were right on test films."""
    both = joint((diagnosis.score, other.score), (diagnosis.threshold, other.threshold))
    sentences = [
        _("Both combined (mean of their log-odds): {score}, COVID from {threshold}.").format(
            score=number(float(both)), threshold=number(0.5)
        )
    ]
    judged = measured_together()
    if judged and {diagnosis.model, other.model} <= judged["apart"].keys():
        sentences += _on_test_films(judged, diagnosis, other)
    st.caption(" ".join(sentences))


def _on_test_films(judged: dict, diagnosis: Diagnosis, other: Diagnosis) -> Iterator[str]:
    if other.positive != diagnosis.positive:
        first, second = (judged["apart"][m] for m in (diagnosis.model, other.model))
        if first["n"]:
            yield _(
                "They disagreed in this way on {n} test images: {first} was right on {x} of them, "
                "{second} on {y}."
            ).format(
                n=number(first["n"], 0),
                first=model_names()[diagnosis.model],
                second=model_names()[other.model],
                x=percent(first["value"]),
                y=percent(second["value"]),
            )
    else:
        share = judged["both_positive" if diagnosis.positive else "both_negative"]
        text = (
            _("Of {n} test images that both classify as COVID, {share} are COVID ({low} – {high}).")
            if diagnosis.positive
            else _(
                "Of {n} test images that neither classifies as COVID, {share} are not COVID "
                "({low} – {high})."
            )
        )
        if share["n"]:
            yield text.format(
                n=number(share["n"], 0),
                share=percent(share["value"], 1),
                low=percent(share["low"], 1),
                high=percent(share["high"], 1),
            )
    rates = {key: judged["together"][key]["value"] for key in ("sensitivity", "specificity")}
    yield _(
        "Combined, on {n} test images: sensitivity {sensitivity}, specificity {specificity}."
    ).format(n=number(judged["n"], 0), **{key: percent(v, 1) for key, v in rates.items()})


def show_pictures(case: cases.Case, diagnosis: Diagnosis) -> None:
    """The radiograph with lungs and heatmap, in one large viewer."""
    area = percent(diagnosis.lung_area_fraction)
    lungs = _("Lungs found by the U-Net ({area} of the image)").format(area=area)
    panes = [
        {"caption": _("Image"), "film": "film"},
        {"caption": lungs, "film": "film", "outline": "lungs"},
    ]
    heats = {}
    if diagnosis.verdict.may_score:
        caption = _("Evidence for COVID: violet weak, yellow strong, same scale for all images")
        pane = {"caption": caption, "film": "film", "heat": "chosen", "outline": "lungs"}
        panes.append(pane)
        heats = _heats(case, diagnosis)
    show_viewer(
        {
            "films": {"film": views.film_url(diagnosis.radiograph)},
            "outlines": {"lungs": views.outlines(diagnosis)},
            "heats": {f"film/{method}": heat for method, heat in heats.items()},
            "choose": list(heats),
            "heat": diagnosis.cam,
            "panes": panes,
            "single": True,
            "colours": views.colours(),
            "words": viewer_words(),
        },
        key="viewer",
    )
    if not heats:
        st.info(_("No heatmap: no score was given."), icon=":material/block:")
        return
    if verdict := heatmap_verdict(diagnosis.model):
        st.caption(verdict)


def show_against_random(diagnosis: Diagnosis) -> None:
    """Whether this image's own heatmap says more than chance, where it is called COVID.

    The map of any other image is meant to be empty. Computed once per answer, in about a second.
    """
    if not diagnosis.positive:
        return
    known = st.session_state.setdefault("heatmap_p", {})
    if diagnosis.answer not in known:
        answer, (stride, offset, _size) = diagnosis.answer, diagnosis.geometry
        predictor = cases.prepare(diagnosis.model).result()
        raw = raw_map(diagnosis.cam, answer)
        p = heatmap_p(
            answer.equalised_film, answer.mask > 0.5, raw, stride, offset, predictor.classify
        )
        known.clear()  # of earlier images, which hold much memory
        known[diagnosis.answer] = p
    p = known[diagnosis.answer]
    text = (
        _(
            "This image's heatmap ({method}) is no better than chance: deleting its hottest cells "
            "does not lower the score more than deleting random cells of the lungs (p = {p})."
        )
        if p > SIGNIFICANT
        else _(
            "Deleting the hottest cells of this image's heatmap ({method}) lowers the score more "
            "than deleting random cells of the lungs (p = {p})."
        )
    )
    st.caption(text.format(method=method_names()[diagnosis.cam], p=number(p, 3)))


def heatmap_verdict(model: str) -> str | None:
    """How far a model's heatmaps may be read as where the disease is; None where nobody knows."""
    judged = measured(model, "heatmaps")
    if not judged:
        return None
    ratios = {
        name: m.get("infection_over_chance")
        for name, m in judged["methods"].items()
        if name != "random"
    }
    if None in ratios.values():
        return None
    better = [name for name, ratio in ratios.items() if ratio["value"] and ratio["low"] > 1]
    if better:
        text = _(
            "On {n} COVID test images, {methods} put more heat into the affected region than a "
            "uniform map over the lungs would."
        )
    else:
        text = _(
            "On {n} COVID test images, no heatmap method of this model was shown to put more heat "
            "into the affected region than a uniform map over the lungs would. These maps show "
            "where the score comes from, not where the disease is."
        )
    return text.format(
        n=number(judged["n"], 0),
        methods=", ".join(method_names().get(name, name) for name in better),
    )


def _heats(case: cases.Case, diagnosis: Diagnosis) -> dict[str, dict]:
    heats = {cam: _layer_with_own_scale(diagnosis, cam) for cam in diagnosis.cam_scale}
    for other in cases.readings(case):
        if other.model != diagnosis.model and other.verdict.may_score:
            heats["difference"] = difference_layer(diagnosis, other)
    return heats


def _layer_with_own_scale(diagnosis: Diagnosis, cam: str) -> dict:
    """A map as `heat_layer`, with its hottest tenth, and over the range of this image alone."""
    layer = heat_layer(diagnosis, cam) | {"hottest": views.hottest(diagnosis, cam)}
    if own := views.own_scale(diagnosis, cam):
        layer |= {"own": views.heat_url(diagnosis, cam, own), "ownHigh": significant(own)}
    return layer


def heat_layer(diagnosis: Diagnosis, cam: str) -> dict:
    """A method's map as the viewer takes it."""
    return {
        "url": views.heat_url(diagnosis, cam),
        "low": number(0, 0),
        "high": "≥ " + significant(diagnosis.cam_scale[cam]),
        "diverging": False,
    }


def difference_layer(first: Diagnosis, second: Diagnosis) -> dict:
    """The difference of two models' maps of one film as the viewer takes it."""
    return {
        "url": views.difference_url(first, second),
        "low": model_names()[second.model],
        "high": model_names()[first.model],
        "diverging": True,
    }


def viewer_words() -> dict[str, str]:
    """What the viewer writes, in the reader's language."""
    return method_names() | {
        "viewer": _("Radiograph viewer"),
        "tools": _("Viewer tools"),
        "adjust": _("Adjust the view"),
        "zoomIn": _("Zoom in (+)"),
        "zoomOut": _("Zoom out (-)"),
        "reset": _("Reset the view (0)"),
        "invert": _("Invert (i)"),
        "windowing": _("Drag to change window and level"),
        "fullScreen": _("Full screen (f)"),
        "brightness": _("Brightness"),
        "contrast": _("Contrast"),
        "outlineOpacity": _("Lung outline"),
        "heatOpacity": _("Heatmap opacity"),
        "method": _("Heatmap method"),
        "difference": _("difference between the models"),
        "film": _("Radiograph"),
        "outline": _("Lungs"),
        "heat": _("Heatmap"),
        "side": _("Side by side"),
        "everywhere": _("Outside the lungs, too"),
        "own": _("Contrast of this image"),
        "remark": _(
            "Outside the lungs the map shows no evidence: nothing there is scored. A cell of the "
            "map sees a wide part of the image, so heat spreads beyond the lungs."
        ),
        "hint": _(
            "Drag to move. Click, then turn the wheel or pinch to zoom. Drag with the right button "
            "(or Shift) for window and level. Keys: 1 to 4, + − 0, arrows, i, f; b and B for "
            "brightness, c and C for contrast. White lines: the hottest tenth of the lungs."
        ),
    }


def show_meaning(diagnosis: Diagnosis) -> None:
    """What the score says and what it does not."""
    if not diagnosis.verdict.may_score:
        return
    scores = scores_on_test_films(diagnosis.model)
    text = _(
        "The score ranks images by how much they resemble the COVID images of the database; it is "
        "not the probability that this patient has COVID-19. In that database COVID images come "
        "from other hospitals than the rest, so the score measures disease and source together."
    )
    if scores:
        text += " " + _(
            "At the default threshold the model classified {sensitivity} of the COVID images and "
            "{wrong} of the others as COVID, on {n} test images not used for training."
        ).format(
            sensitivity=_interval(scores["sensitivity"]),
            wrong=_interval(_complement(scores["specificity"])),
            n=number(scores["n"], 0),
        )
    st.markdown(text)


def _interval(scored: dict) -> str:
    return _("{value} (95% CI {low} to {high})").format(
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


def show_details(diagnosis: Diagnosis) -> None:
    """What a careful reader asks next."""
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
