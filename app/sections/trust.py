"""The parts of the performance page on trust: heatmaps, lungs, copies, sources, the gate."""

import streamlit as st

from app.sections.answer import heatmap_verdict
from app.sections.performance import chart_words
from app.session.language import gettext as _
from app.session.language import number, percent
from app.views import charts
from app.views.names import model_names
from pipeline.release.measurements import measured, measured_gate, measured_together


def show_heatmaps(model: str) -> None:
    """Whether the heatmaps are true."""
    judged = measured(model, "heatmaps")
    st.subheader(_("Are the heatmaps true?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    chance = judged["infected_share_of_lungs"]["value"]
    st.markdown(
        _(
            "On {n} COVID test films on which the infected region was outlined, and which the "
            "model calls COVID. That region covers {chance} of the lungs: a map spread evenly over "
            "them puts that share of its heat there."
        ).format(n=judged["n"], chance=percent(chance, 1))
    )
    st.table([_heatmap_row(name, m) for name, m in judged["methods"].items()])
    st.caption(
        _(
            "Gain: share of heat inside the infected region, minus that region's share of the "
            "lungs. Deletion and insertion: mean COVID score while the hottest lung pixels are "
            "blurred away or put back, on {n} films; better low, and better high. Shuffled "
            "weights: rank correlation with the map of the same network with shuffled weights; "
            "near 0 is as it should be."
        ).format(n=judged["n_curves"])
    )
    st.markdown(heatmap_verdict(model))
    _explain_scatter(judged)
    words = chart_words() | {"random": _("random map")}
    for column, key in zip(st.columns(2), ("deletion", "insertion"), strict=True):
        with column:
            chart = charts.curves_chart(judged["methods"], key, words)
            st.plotly_chart(chart, key=f"{key}_{model}")


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
            "This model's head averages every channel over its {cells} cells: the gradient "
            "reaches {reached} of them, so each cell answers for itself."
        )
    else:
        text = _(
            "**Why these maps scatter.** This model's head keeps the greatest value of each "
            "channel and drops the rest (global max pooling): of {cells} cells the gradient "
            "reaches {reached} ({low} – {high}), one per channel at most. Grad-CAM spreads each "
            "channel's weight over all its cells, those that decided nothing included. *cellwise* "
            "asks the head about each cell alone instead, with not a parameter more."
        )
    st.markdown(text.format(**values))


def _heatmap_row(name: str, values: dict) -> dict:
    shuffled = values["randomised_weights"]
    return {
        _("Method"): _("random map") if name == "random" else name,
        _("Gain in the infected region"): _signed(values["infection_gain"]),
        _("Hottest point inside it"): percent(values["pointing_game"]["value"]),
        _("Heat inside the lungs"): percent(values["energy_in_lungs"]["value"]),
        _("Deletion"): number(values["deletion"]["value"], 3),
        _("Insertion"): number(values["insertion"]["value"], 3),
        _("Shuffled weights"): number(shuffled["value"], 2) if shuffled else "–",
    }


def _signed(value: dict) -> str:
    low, high = number(100 * value["low"], 1), number(100 * value["high"], 1)
    return f"{number(100 * value['value'], 1)} ({low} – {high})"


def show_together() -> None:
    """What two models say of one film, and how far their agreement goes."""
    judged = measured_together()
    st.subheader(_("Are two models better than one?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    names = model_names()
    rows = {names[model]: scores for model, scores in judged["alone"].items()}
    rows[_("both, the mean of their log-odds")] = judged["together"]
    columns = {
        _("Sensitivity (recall)"): "sensitivity",
        _("Specificity"): "specificity",
        _("Accuracy"): "accuracy",
    }
    st.table(
        [
            {_("Model"): name, "AUC": _auc(scores["auc"])}
            | {title: _percent(scores[key]) for title, key in columns.items()}
            for name, scores in rows.items()
        ]
    )
    words = {key: _percent(judged[key]) for key in ("agree", "both_positive", "both_negative")} | {
        "n": number(judged["n"], 0)
    }
    st.markdown(
        _(
            "On {n} test films that both give a score, they agree on {agree}. What both call COVID "
            "is COVID in {both_positive} of films; what neither calls COVID is not in "
            "{both_negative}."
        ).format(**words)
    )
    apart = ", ".join(f"{names[m]} {_percent(share)}" for m, share in judged["apart"].items())
    st.caption(
        _("Where they disagree, each is right on: {shares}. 95 % intervals.").format(shares=apart)
    )


def show_lungs(model: str) -> None:
    """Whether the score rests on the lungs."""
    judged = measured(model, "lungs")
    st.subheader(_("Does the score rest on the lungs?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    words = {
        "full": _("the film as it is"),
        "background_only": _("background only, lungs cut out"),
        "mask_shape": _("the mask's shape alone"),
        "lungs_black": _("lungs blacked out"),
        "lettering": _("lettering painted beside the lungs"),
        "over_lungs": _("the film, equalised over the lungs' pixels only"),
    }
    st.table(
        [
            {
                _("What the model is shown"): words[name],
                "AUC": number(v["auc"]["value"], 3),
                _("95 % interval"): f"{number(v['auc']['low'], 3)} – {number(v['auc']['high'], 3)}",
                _("Mean change of the score"): number(v["change"]["value"], 3),
                _("Answers that change"): percent(v["flipped"]["value"], 1),
            }
            for name, v in judged["variants"].items()
        ]
    )
    st.caption(
        _(
            "On {n} test films. An AUC of 0.5 tells nothing. Where background or shape alone come "
            "far above it, they carry information on the source or on the disease that the score "
            "may use."
        ).format(n=judged["n"])
    )


def show_changes(model: str) -> None:
    """Whether the answer survives blur, compression and the like."""
    judged = measured(model, "changes")
    st.subheader(_("Does the answer survive copying?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    words = {
        "none": _("the film as it is"),
        "mirrored": _("mirrored"),
        "blurred": _("blurred a little"),
        "sharpened": _("sharpened"),
        "shrunk": _("shrunk to three quarters and back"),
        "compressed": _("compressed (JPEG, quality 60)"),
        "turned": _("turned by 4 degrees"),
        "brightened": _("brightened"),
    }
    st.table(
        [
            {
                _("What was done to the film"): words[name],
                "AUC": _auc(changed["auc"]),
                _("Sensitivity (recall)"): percent(changed["sensitivity"]["value"], 1),
                _("Specificity"): percent(changed["specificity"]["value"], 1),
                _("Answers that change"): percent(changed["flipped"]["value"], 1),
                _("Dice with the first lung mask"): number(changed["mask_dice"]["value"], 3),
            }
            for name, changed in judged["changes"].items()
        ]
    )
    st.caption(
        _(
            "On {n} test films drawn at random. None of this is disease: what moves here would "
            "move between hospitals, too."
        ).format(n=judged["n"])
    )


def show_left_out_sources(model: str) -> None:
    """Whether a model that never saw a hospital's films knows COVID there."""
    judged = measured(model, "sources")
    if not judged:
        return  # only the light model is cheap enough to train once more per source
    st.subheader(_("Disease or source?"), anchor=False)
    st.markdown(
        _(
            "The light CNN, trained anew in a cheap way ({size} px, {epochs} epochs of "
            "{films_per_epoch} films): once on every source, and once per source without any of "
            "its COVID films. What it loses on a source that it never saw it had learnt of the "
            "source and not of the disease, or lost because it saw fewer COVID films: most come "
            "from BIMCV."
        ).format(**judged["settings"])
    )
    st.table(
        [
            {
                _("Source left out"): source,
                _("COVID films in the test part"): number(scored["test_films"], 0),
                _("AUC, source seen"): _auc(scored["seen"]),
                _("AUC, source never seen"): _auc(scored["unseen_test"]),
                _("AUC, never seen, all its films"): _auc(scored["unseen"]),
            }
            for source, scored in judged["sources"].items()
        ]
    )
    st.caption(
        _(
            "95 % intervals; the other class is that of the test part. So cheap a training gives "
            "low scores: only the differences within a row mean anything."
        )
    )


def _auc(scored: dict) -> str:
    value, low, high = (number(scored[key], 3) for key in ("value", "low", "high"))
    return f"{value} ({low} – {high})"


def _percent(scored: dict) -> str:
    if not scored["n"]:
        return "–"
    value, low, high = (percent(scored[key], 1) for key in ("value", "low", "high"))
    return f"{value} ({low} – {high})"


def show_gate() -> None:
    """What gets a score and what does not."""
    judged = measured_gate()
    st.subheader(_("What gets no score?"), anchor=False)
    if not judged:
        st.info(_("Not measured for these weights."))
        return
    films, pictures = judged["total"]["films"], judged["total"]["pictures"]
    st.markdown(
        _(
            "The gate lets {passed} of {n} test films pass and refuses {refused} of {m} pictures "
            "that are no chest film and had no part in setting it. They come from few sources, and "
            "slices of one volume resemble each other: on pictures of other kinds it may do worse, "
            "and a film that passes is not thereby a good one."
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
                _("Kind of picture"): kinds[kind],
                _("Number"): number(row["refused"]["n"], 0),
                _("No score"): percent(row["refused"]["value"], 1),
                _("95 % interval"): f"{percent(row['refused']['low'], 1)} – "
                f"{percent(row['refused']['high'], 1)}",
                _("Rightly named"): percent(row["named"]["value"], 1) if row["named"] else "–",
                _("Said most often"): said[next(iter(row["reasons"]))] if row["reasons"] else "–",
            }
            for table in judged["rows"].values()
            for kind, row in table.items()
        ]
    )
    st.caption(
        _(
            "The gate is shown everything as plain grey pictures. A DICOM file that calls itself "
            "CT, MR or ultrasound, and a picture in colour, are refused earlier, as files."
        )
    )


def _kinds() -> dict[str, str]:
    return {
        "COVID": _("film: COVID"),
        "Normal": _("film: normal"),
        "Lung_Opacity": _("film: other opacity"),
        "Viral Pneumonia": _("film: viral pneumonia"),
        "inverted": _("film, inverted"),
        "turned_left": _("film, top to the left"),
        "turned_right": _("film, top to the right"),
        "upside_down": _("film, upside down"),
        "one lung": _("film cut to one lung"),
        "upper half": _("film cut to its upper half"),
        "lower half": _("film cut to its lower half"),
        "photograph": _("photograph"),
        "microscope, retina": _("microscope or retina"),
        "text, drawing": _("text, drawing, plot"),
        "other X-ray": _("X-ray of something else"),
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
        "turned_left": _("lies on its side"),
        "turned_right": _("lies on its side"),
        "upside_down": _("on its head"),
        "unlike_chest": _("unlike a chest radiograph"),
        "lung_area": _("lung area"),
        "lung_components": _("no two lungs"),
        "lung_symmetry": _("unequal lungs"),
        "lung_position": _("lungs not side by side"),
        "lung_border": _("lungs at the border"),
        "lung_cut": _("lungs cut off"),
        "lung_uncertain": _("uncertain mask"),
        "lung_brightness": _("lungs not dark"),
        "lung_unusual": _("unusual lungs"),
    }
