"""The parts of the performance page on trust: heatmaps, lungs, copies, sources, the gate."""

import streamlit as st

from app.components.chart import show_chart
from app.sections.answer import heatmap_verdict
from app.sections.elsewhere import auc, share
from app.sections.performance import chart_words
from app.session.language import current, number, percent
from app.session.language import gettext as _
from app.views import charts
from app.views.names import change_names, method_names, model_names
from pipeline.evaluation.estimates import Estimate
from pipeline.explain.significance import SIGNIFICANT
from pipeline.release.measurements import measured, measured_gate, measured_together
from pipeline.text import formatting


def show_heatmaps(model: str) -> None:
    """Whether the heatmaps are true."""
    judged = measured(model, "heatmaps")
    st.subheader(_("Are the heatmaps reliable?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    chance = judged["infected_share_of_lungs"]["value"]
    st.markdown(
        _(
            "On {n} COVID test images with an outlined affected region that the model classifies "
            "as COVID. That region covers {chance} of the lungs: a uniform map would put that "
            "share of its heat there."
        ).format(n=number(judged["n"], 0), chance=percent(chance, 1))
    )
    st.table([_heatmap_row(name, m) for name, m in judged["methods"].items()])
    st.caption(
        _(
            "Over chance: of the heat inside the lungs, the share in the affected region over that "
            "region's share of the lungs; 1 is chance. Deletion and insertion: mean COVID score "
            "while the hottest lung pixels are blurred or restored, on {n} images; low is better "
            "for deletion, high for insertion. Shuffled weights: rank correlation with the map of "
            "the same network with shuffled weights; it should be near 0."
        ).format(n=number(judged["n_curves"], 0))
    )
    if verdict := heatmap_verdict(model):
        st.markdown(verdict)
    if better := judged.get("better_than_random"):
        st.markdown(
            _(
                "Image by image, deleting the hottest cells of the default method lowers the score "
                "more than deleting random cells of the lungs in {share} of {n} images (p at most "
                "0.05; {chance} by chance)."
            ).format(share=share(better), n=number(better["n"], 0), chance=percent(SIGNIFICANT))
        )
    _explain_scatter(judged)
    words = chart_words() | method_names() | {"random": _("random map")}
    for column, key in zip(st.columns(2), ("deletion", "insertion"), strict=True):
        with column:
            chart = charts.curves_chart(judged["methods"], key, words)
            show_chart(chart, key=f"{key}_{model}")


def _explain_scatter(judged: dict) -> None:
    """Why Grad-CAM through global max pooling scatters, in figures."""
    reached = judged["gradient_reaches"]
    values = {
        "cells": number(judged["cells"], 0),
        "reached": percent(reached["value"], 1),
        "low": percent(reached["low"], 1),
        "high": percent(reached["high"], 1),
    }
    if reached["value"] > 0.99:
        text = _(
            "This model's head averages every channel over its {cells} cells: the gradient reaches "
            "{reached} of them, so that each cell has its own share in the score."
        )
    else:
        text = _(
            "**Why these maps are scattered.** This model's head keeps the greatest value of each "
            "channel and drops the rest (global max pooling): of {cells} cells the gradient "
            "reaches {reached} ({low} – {high}), at most one per channel. Grad-CAM spreads each "
            "channel's weight over all its cells, including those that played no part. *Cell-wise* "
            "evaluates the head on each cell separately, without any extra parameter."
        )
    st.markdown(text.format(**values))


def _heatmap_row(name: str, values: dict) -> dict:
    shuffled = values["randomised_weights"]
    return {
        _("Method"): _("random map") if name == "random" else method_names().get(name, name),
        _("Heat in the affected region, over chance"): _over_chance(values),
        _("Hottest point inside it"): percent(values["pointing_game"]["value"]),
        _("Heat inside the lungs"): percent(values["energy_in_lungs"]["value"]),
        _("Deletion"): number(values["deletion"]["value"], 3),
        _("Insertion"): number(values["insertion"]["value"], 3),
        _("Shuffled weights"): number(shuffled["value"], 2) if shuffled else "–",
    }


def _over_chance(values: dict) -> str:
    ratio = values.get("infection_over_chance")
    return formatting.estimate(Estimate(**ratio), current(), 2, share=False) if ratio else "–"


def show_together() -> None:
    """What two models say of one film, and how far their agreement goes."""
    judged = measured_together()
    st.subheader(_("Are two models better than one?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    names = model_names()
    rows = {names.get(model, model): scores for model, scores in judged["alone"].items()}
    rows[_("both, mean of their log-odds")] = judged["together"]
    columns = {
        _("Sensitivity (recall)"): "sensitivity",
        _("Specificity"): "specificity",
        _("Accuracy"): "accuracy",
    }
    st.table(
        [
            {_("Model"): name, "AUC": auc(scores["auc"])}
            | {title: share(scores[key]) for title, key in columns.items()}
            for name, scores in rows.items()
        ]
    )
    words = {key: share(judged[key]) for key in ("agree", "both_positive", "both_negative")} | {
        "n": number(judged["n"], 0)
    }
    st.markdown(
        _(
            "The models agree on {agree} of the {n} test images that both score. When both say "
            "COVID, {both_positive} are COVID; when neither does, {both_negative} are not."
        ).format(**words)
    )
    apart = ", ".join(f"{names.get(m, m)} {share(right)}" for m, right in judged["apart"].items())
    st.caption(
        _("Share correct where they disagree: {shares}. 95% confidence intervals.").format(
            shares=apart
        )
    )


def show_lungs(model: str) -> None:
    """Whether the score rests on the lungs."""
    judged = measured(model, "lungs")
    st.subheader(_("Does the score rest on the lungs?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    words = {
        "full": _("unchanged image"),
        "background_only": _("background only, lungs removed"),
        "mask_shape": _("mask shape alone"),
        "lungs_black": _("lungs blacked out"),
        "lettering": _("lettering added beside the lungs"),
        "over_lungs": _("image equalised over lung pixels only"),
    }
    st.table(
        [
            {
                _("Model input"): words.get(name, name),
                "AUC": auc(v["auc"]),
                _("Mean change in score"): number(v["change"]["value"], 3),
                _("Results that change"): percent(v["flipped"]["value"], 1),
            }
            for name, v in judged["variants"].items()
        ]
    )
    st.caption(
        _(
            "On {n} test images. An AUC of 0.5 is chance. If background or shape alone are far "
            "above it, they carry information on source or disease that the score may use."
        ).format(n=number(judged["n"], 0))
    )


def show_changes(model: str) -> None:
    """Whether the answer survives blur, compression and the like."""
    judged = measured(model, "changes")
    st.subheader(_("Is the result robust to image processing?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    siim = judged.get("siim", {"changes": {}})["changes"]
    st.table(
        [
            {
                _("Change made to the image"): change_names()[name],
                "AUC": auc(changed["auc"]),
                _("Results that change"): share(changed["flipped"]),
                _("Results that change, SIIM-COVID19"): (
                    share(siim[name]["flipped"]) if name in siim else "–"
                ),
                _("Dice with the original lung mask"): number(changed["mask_dice"]["value"], 3),
            }
            for name, changed in judged["changes"].items()
        ]
    )
    st.caption(
        _(
            "On {n} test images drawn at random. None of these changes is disease: a score that "
            "moves here would also move between hospitals."
        ).format(n=number(judged["n"], 0))
    )


def show_left_out_sources(model: str) -> None:
    """Whether a model that never saw a hospital's films knows COVID there."""
    judged = measured(model, "sources")
    if not judged:
        return  # only the light model is cheap enough to train once more per source
    st.subheader(_("Disease or source?"), anchor=False)
    st.markdown(
        _(
            "The light CNN, briefly retrained ({size} px, {epochs} epochs of {images_per_epoch} "
            "images): without a source, and, as a control, without as many images of other "
            "sources. What it loses against the control on a source it has not seen was learnt "
            "from the source rather than the disease."
        ).format(**{key: number(n, 0) for key, n in judged["settings"].items()})
    )
    st.table(
        [
            {
                _("Source left out"): source,
                _("Its test images"): number(scored["test_images"], 0),
                _("Images compared"): number(scored["judged"], 0),
                _("AUC, source not seen"): auc(scored["unseen"]),
                _("AUC, control"): auc(scored["control"]),
            }
            for source, scored in judged["sources"].items()
        ]
    )
    st.caption(
        _(
            "95% confidence intervals. A source of one class is compared with the test images of "
            "the other class. Such a short training gives low scores: only the differences within "
            "a row are meaningful."
        )
    )


def show_gate() -> None:
    """What gets a score and what does not."""
    judged = measured_gate()
    st.subheader(_("Which images get no score?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    films, pictures = judged["total"]["films"], judged["total"]["pictures"]
    st.markdown(
        _(
            "The quality check accepts {passed} of {n} test images and refuses {refused} of {m} "
            "images that are not chest radiographs and were not used to set it. These come from "
            "few sources, and slices of one volume resemble each other: it may do worse on other "
            "kinds of images, and an accepted image is not necessarily a good one."
        ).format(
            passed=percent(1 - films["value"], 1),
            n=number(films["n"], 0),
            refused=percent(pictures["value"], 1),
            m=number(pictures["n"], 0),
        )
    )
    kinds, said = _kinds(), _said()
    st.table(
        [
            {
                _("Kind of image"): kinds.get(kind, kind),
                _("Number"): number(row["refused"]["n"], 0),
                _("No score"): percent(row["refused"]["value"], 1),
                _("95% CI"): f"{percent(row['refused']['low'], 1)} – "
                f"{percent(row['refused']['high'], 1)}",
                _("Correctly named"): percent(row["named"]["value"], 1) if row["named"] else "–",
                _("Most frequent reason"): next(
                    (said.get(reason, reason) for reason in row["reasons"]), "–"
                ),
            }
            for table in judged["rows"].values()
            for kind, row in table.items()
        ]
    )
    st.caption(
        _(
            "The quality check sees every picture as a plain grey image. DICOM files whose "
            "modality is CT, MR or ultrasound, and colour images, are refused earlier, when the "
            "file is read."
        )
    )


def _kinds() -> dict[str, str]:
    return {
        "COVID": _("radiograph: COVID"),
        "Normal": _("radiograph: normal"),
        "Lung_Opacity": _("radiograph: other opacity"),
        "Viral Pneumonia": _("radiograph: viral pneumonia"),
        "inverted": _("radiograph, inverted"),
        "turned_left": _("radiograph, top to the left"),
        "turned_right": _("radiograph, top to the right"),
        "upside_down": _("radiograph, upside down"),
        "one lung": _("radiograph cropped to one lung"),
        "upper half": _("radiograph cropped to its upper half"),
        "lower half": _("radiograph cropped to its lower half"),
        "photograph": _("photograph"),
        "microscope, retina": _("microscope or retina"),
        "text, drawing": _("text, drawing, plot"),
        "other X-ray": _("radiograph of another body part"),
        "CT": _("CT slice"),
        "MR": _("MR slice"),
        "ultrasound": _("ultrasound"),
        "scintigram": _("scintigram"),
        "noise": _("noise"),
        "blank, gradient": _("blank or gradient"),
    }


def _said() -> dict[str, str]:
    return {
        "blank": _("uniform"),
        "inverted": _("inverted"),
        "turned_left": _("on its side"),
        "turned_right": _("on its side"),
        "upside_down": _("upside down"),
        "unlike_chest": _("unlike a chest radiograph"),
        "lung_area": _("lung area"),
        "lung_components": _("two lungs not found"),
        "lung_symmetry": _("unequal lungs"),
        "lung_position": _("lungs not side by side"),
        "lung_border": _("lungs at the border"),
        "lung_cut": _("lungs cut off"),
        "lung_uncertain": _("uncertain mask"),
        "lung_brightness": _("lungs not dark"),
        "lung_unusual": _("unusual lungs"),
    }
