"""The parts of the performance page: all that `evaluate` measured, to explore."""

import streamlit as st

from app.components.chart import show_chart
from app.sections import about
from app.session.language import gettext as _
from app.session.language import number, percent
from app.views import charts
from app.views.names import class_names, labelled, model_names
from pipeline.evaluation.curves import post_test_probability
from pipeline.evaluation.estimates import plain, proportion
from pipeline.evaluation.original_report import REPORT_FIGURES
from pipeline.models import registry
from pipeline.release.measurements import measured


def choose_model() -> str | None:
    """One of the models that have been measured; None where none has."""
    models = [m for m in registry.classifiers(every=True) if measured(m, "test")]
    if not models:
        about.show_no_scores()
        return None
    chosen = st.segmented_control(
        _("Model"),
        models,
        format_func=model_names().get,
        default=models[0],
        required=True,
        key="measured_model",
    )
    return chosen or models[0]


def show_what_was_measured(scores: dict) -> None:
    """On which films, and what the figures cannot say."""
    st.markdown(
        _(
            "Measured on {n} test images used neither for training nor for choosing a threshold; "
            "95% confidence intervals. In this database COVID images come from other hospitals "
            "than the rest: every figure measures disease and source together."
        ).format(n=number(scores["n"], 0))
    )


@st.fragment
def explore_threshold(model: str, scores: dict) -> None:
    """A slider that moves the confusion matrix, the rates and the point on the curve."""
    confusion = scores["curves"]["confusion"]
    thresholds = confusion["threshold"]
    start = min(thresholds, key=lambda t: abs(t - scores["threshold"]))
    key = f"threshold_{model}"
    _choose_operating_point(model, scores, thresholds, key)
    threshold = st.select_slider(
        _("Threshold: images at or above this score are classified as COVID"),
        thresholds,
        value=start,
        format_func=lambda t: number(t, 3),
        key=key,
    )
    counts = {k: confusion[k][thresholds.index(threshold)] for k in ("tp", "fn", "fp", "tn")}
    rates = _rates(counts)
    _show_rates(model, rates)
    left, right = st.columns(2)
    with left:
        show_chart(_confusion(counts), key=f"confusion_{model}")
    with right:
        show_chart(_roc(model, scores, rates), key=f"roc_{model}")
    _show_prevalence(model, rates)


def _choose_operating_point(model: str, scores: dict, thresholds: list, key: str) -> None:
    words = {
        "screening": _("Screening (sensitivity 95%)"),
        "balanced": _("Balanced (Youden)"),
        "confirming": _("Confirmation (specificity 98%)"),
    }
    points = {"chosen": scores["threshold"]}
    points |= {name: point["threshold"] for name, point in scores["operating_points"].items()}

    def go(threshold: float) -> None:
        st.session_state[key] = min(thresholds, key=lambda t: abs(t - threshold))

    with st.container(horizontal=True):
        for name, threshold in points.items():
            label = words.get(name, _("Default"))
            st.button(label, key=f"{name}_{model}", on_click=go, args=(threshold,))


def _rates(counts: dict[str, int]) -> dict[str, dict]:
    tp, fn, fp, tn = (counts[k] for k in ("tp", "fn", "fp", "tn"))
    rates = {
        "sensitivity": proportion(tp, tp + fn),
        "specificity": proportion(tn, fp + tn),
        "precision": proportion(tp, tp + fp),
        "accuracy": proportion(tp + tn, tp + fn + fp + tn),
    }
    return plain(rates)


def _show_rates(model: str, rates: dict[str, dict]) -> None:
    words = rate_names()
    for column, (name, rate) in zip(st.columns(len(rates)), rates.items(), strict=True):
        with column:
            value = "–" if rate["value"] is None else percent(rate["value"], 1)
            st.metric(words[name], value)
            st.caption(interval(rate))
            if name in REPORT_FIGURES.get(model, {}):
                said = percent(REPORT_FIGURES[model][name], 1)
                st.caption(_("Original report: {value}").format(value=said))


def rate_names() -> dict[str, str]:
    """Names of rates for readers."""
    return {
        "sensitivity": _("Sensitivity (recall)"),
        "specificity": _("Specificity"),
        "precision": _("Precision (PPV)"),
        "accuracy": _("Accuracy"),
    }


def interval(rate: dict) -> str:
    """ "95 %: 93.1 % – 96.0 %, n 309"."""
    if rate["value"] is None:
        return _("no image")
    low, high = percent(rate["low"], 1), percent(rate["high"], 1)
    return _("95% CI {low} – {high}, n = {n}").format(low=low, high=high, n=number(rate["n"], 0))


def _confusion(counts: dict[str, int]):
    covid, other = _("COVID"), _("not COVID")
    table = {
        covid: {covid: counts["tp"], other: counts["fn"]},
        other: {covid: counts["fp"], other: counts["tn"]},
    }
    return charts.confusion_chart(table, chart_words())


def _roc(model: str, scores: dict, rates: dict):
    points = {_("This threshold"): _point(rates)}
    said = REPORT_FIGURES.get(model, {})
    if "specificity" in said:
        points[_("Original report")] = (1 - said["specificity"], said["sensitivity"])
    return charts.roc_chart(scores["curves"]["roc"], points, chart_words())


def _point(rates: dict) -> tuple[float, float]:
    return 1 - rates["specificity"]["value"], rates["sensitivity"]["value"]


def _show_prevalence(model: str, rates: dict) -> None:
    share = st.slider(
        _("Prevalence of COVID-19 where the test is used"),
        0.5,
        80.0,
        10.0,
        0.5,
        format="%.1f %%",
        key=f"prevalence_{model}",
    )
    rate = [rates[k]["value"] for k in ("sensitivity", "specificity")]
    after = [post_test_probability(*rate, share / 100, answer) for answer in (True, False)]
    st.markdown(
        _(
            "At this prevalence, an image classified as COVID is COVID with probability "
            "**{positive}**, and an image not classified as COVID is COVID nevertheless with "
            "probability **{negative}** (Bayes, from the sensitivity and specificity at this "
            "threshold)."
        ).format(positive=percent(after[0], 1), negative=percent(after[1], 1))
    )


def show_curves(model: str, scores: dict) -> None:
    """Precision and recall, and whether the score is a probability."""
    left, right = st.columns(2)
    words = chart_words()
    with left:
        chart = charts.precision_recall_chart(scores["curves"]["precision_recall"], words)
        show_chart(chart, key=f"pr_{model}")
    with right:
        show_chart(
            charts.reliability_chart(scores["calibration"], words), key=f"calibration_{model}"
        )
        before, after = scores["calibration"]["before"], scores["calibration"]["after"]
        st.caption(
            _(
                "Expected calibration error {ece0} before and {ece1} after Platt scaling (slope "
                "{slope}, intercept {intercept}, chosen on validation images) and adjustment from "
                "a prevalence of 50% to that of the test images, {prevalence}; Brier score "
                "{brier0} and {brier1}."
            ).format(
                ece0=number(before["ece"], 3),
                ece1=number(after["ece"], 3),
                slope=number(scores["calibration"]["slope"], 2),
                intercept=number(scores["calibration"]["intercept"], 2),
                prevalence=percent(scores["calibration"]["prevalence"]),
                brier0=number(before["brier"], 3),
                brier1=number(after["brier"], 3),
            )
        )


def show_classes(model: str, scores: dict) -> None:
    """The table of four classes, for the model that tells them apart."""
    if not scores.get("classes"):
        return
    st.subheader(_("Four classes"), anchor=False)
    names = class_names()
    counts = {
        names[truth]: {names[said]: n for said, n in row.items()}
        for truth, row in scores["classes"]["counts"].items()
    }
    chart = charts.confusion_chart(counts, chart_words())
    show_chart(chart, key=f"classes_{model}")
    accuracy = scores["classes"]["accuracy"]
    st.caption(labelled(_("Accuracy"), f"{percent(accuracy['value'], 1)} ({interval(accuracy)})"))


def show_sources(scores: dict) -> None:
    """What the model calls COVID, by source and class of the films."""
    st.subheader(_("By source"), anchor=False)
    st.markdown(
        _(
            "Each row is one collection of images. No collection mixes COVID with other classes: a "
            "model that recognised only the collection would do just as well in this table."
        )
    )
    st.table(
        [
            {
                _("Source"): key.split("/")[0],
                _("Class"): class_names()[key.split("/")[1]],
                _("Images"): number(row["called_covid"]["n"], 0),
                _("Classified as COVID"): percent(row["called_covid"]["value"], 1),
                _("95% CI"): f"{percent(row['called_covid']['low'], 1)} – "
                f"{percent(row['called_covid']['high'], 1)}",
            }
            for key, row in scores["by_source"].items()
        ]
    )


def show_masks(scores: dict) -> None:
    """How well the U-Net finds the lungs, by set of masks."""
    st.subheader(_("Lung masks"), anchor=False)
    sets = {
        _("database"): scores["segmentation"],
        **{
            labelled(_("database"), class_names()[label]): agreement
            for label, agreement in scores["segmentation_by_class"].items()
        },
        _("database, weighted by class frequency"): scores["segmentation_as_database"],
        **scores["segmentation_by_set"],
    }
    rows = []
    for name, agreement in sets.items():
        if agreement["n"] and agreement["dice"]["value"] is not None:
            keys = ("dice", "iou", "accuracy")
            figures = [
                f"{number(agreement[k]['value'], 3)} "
                f"({number(agreement[k]['low'], 3)} – {number(agreement[k]['high'], 3)})"
                for k in keys
            ]
            titles = ("Dice", "IoU", _("Pixel accuracy"))
            row = {_("Masks"): name, _("Images"): number(agreement["n"], 0)}
            rows.append(row | dict(zip(titles, figures, strict=True)))
    st.table(rows)
    accuracy = percent(REPORT_FIGURES["unet"]["accuracy"], 1)
    st.caption(
        _(
            "Pixel accuracy in the original report: {value}, on its validation images. The test "
            "images include more COVID and fewer normal images than the whole database; the row "
            "weighted by class frequency corrects for that. Only the Shenzhen masks were drawn by "
            "hand."
        ).format(value=accuracy)
    )


def show_training(model: str) -> None:
    """Loss by epoch, as the registry keeps it."""
    st.subheader(_("Training"), anchor=False)
    for name in (model, "unet"):
        history = registry.entry(name).training["history"]
        st.markdown(f"**{model_names()[name]}**")
        show_chart(charts.training_chart(history, chart_words()), key=f"training_{model}_{name}")


def chart_words() -> dict[str, str]:
    """What the charts write, in the reader's language."""
    return {
        "band": _("95% band"),
        "curve": _("curve"),
        "chance": _("chance"),
        "fpr": _("1 − specificity"),
        "tpr": _("sensitivity"),
        "roc": _("ROC curve"),
        "recall": _("sensitivity (recall)"),
        "precision": _("precision"),
        "precision_recall": _("Precision and recall"),
        "share": _("share of the row"),
        "said": _("predicted class"),
        "is": _("true class"),
        "confusion": _("Confusion matrix"),
        "ideal": _("ideal"),
        "before": _("before calibration"),
        "after": _("after calibration"),
        "score": _("COVID score"),
        "share_covid": _("share of COVID images"),
        "reliability": _("Is the score a probability?"),
        "training": _("training"),
        "validation": _("validation"),
        "epoch": _("epoch"),
        "loss": _("loss"),
        "curves": _("Loss by epoch"),
        "pixels": _("share of lung pixels changed"),
        "deletion": _("Deletion: hottest pixels blurred"),
        "insertion": _("Insertion: hottest pixels restored"),
    }
