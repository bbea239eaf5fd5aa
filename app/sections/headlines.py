"""The performance page's tabs: what each is called, and the one figure that it is about."""

import streamlit as st

from app.sections.elsewhere import auc, share
from app.session.language import gettext as _
from app.session.language import number
from app.views.names import change_names
from pipeline.models import registry
from pipeline.release.measurements import measured, measured_gate


def tab_names() -> list[str]:
    """The tabs in their order."""
    return [
        _("Inside the database"),
        _("Elsewhere"),
        _("Stability"),
        _("Where it looks"),
        _("Quality check"),
        _("Training"),
    ]


def show_inside(scores: dict) -> None:
    """AUC on the database's own test images."""
    _headline(_("AUC on the database's test images"), auc(scores["auc"]))


def show_outside(scores: dict) -> None:
    """AUC where the hospital does not tell the class."""
    if siim := scores.get("elsewhere", {}).get("siim"):
        _headline(_("AUC on SIIM-COVID19, from other hospitals"), auc(siim["auc"]))


def show_stable(model: str) -> None:
    """The change that turns most results."""
    if judged := measured(model, "changes"):
        flipped = {name: row["flipped"] for name, row in judged["changes"].items()}
        worst = max(flipped, key=lambda name: flipped[name]["value"])
        label = _("Results that change, worst case: {change}").format(change=change_names()[worst])
        _headline(label, share(flipped[worst]))


def show_where_it_looks(model: str, scores: dict) -> None:
    """How much of the heat the affected region gets, or else how well the lungs are found."""
    judged = measured(model, "heatmaps")
    ratio = judged and judged["methods"][registry.entry(model).cam].get("infection_over_chance")
    if ratio:
        label = _("Heat in the affected region, over chance (1 is chance)")
        _headline(label, number(ratio["value"], 2))
    else:
        label = _("Dice of the lung masks")
        _headline(label, number(scores["segmentation"]["dice"]["value"], 3))


def show_gate() -> None:
    """How many pictures of other things are refused."""
    if judged := measured_gate():
        _headline(_("Other pictures that get no score"), share(judged["total"]["pictures"]))


def show_training(model: str) -> None:
    """How long it was trained."""
    _headline(_("Epochs of training"), number(len(registry.entry(model).training["history"]), 0))


def _headline(label: str, value: str) -> None:
    st.metric(label, value, border=True)
