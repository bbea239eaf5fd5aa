"""The parts of the page about the models."""

import streamlit as st

from app.language import gettext as _
from app.language import number, percent
from pipeline import registry
from pipeline.evidence import scores_on_test_films


def limits() -> str:
    """What no reader should overlook, as a Markdown list."""
    sentences = [
        _("Not a medical device, never tested on patients prospectively, not for diagnostic use."),
        _(
            "Trained on the COVID-19 Radiography Database, where COVID films come from other "
            "hospitals than the rest: every score below measures disease and source together. On "
            "films of another hospital expect worse."
        ),
        _("The films that are called viral pneumonia there are all of children."),
        _(
            "The lung masks it learnt from were drawn by networks and checked by people; only "
            "those of the Shenzhen set were drawn by hand."
        ),
        _("Frontal films only; no score is given when the lungs cannot be found."),
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def show_scores() -> None:
    """A table of what `evaluate` measured on test films."""
    rows = []
    for model in registry.classifiers():
        scores = scores_on_test_films(model)
        if scores:
            rows += [_row(model, name, scores[key]) for key, name in _score_names().items()]
            segmentation = scores["segmentation"]
            rows.append(_row("U-Net", "Dice", segmentation["dice"]))
            rows.append(_row("U-Net", _("Pixel accuracy"), segmentation["accuracy"]))
    if not rows:
        show_no_scores()
        return
    st.table(rows)
    st.caption(
        _("Films that neither training nor the choice of the threshold saw; 95 % intervals.")
    )


def show_no_scores() -> None:
    """Why there are no figures, and what makes them."""
    st.info(
        _(
            "No scores fit the weights that are installed: a figure is shown only beside the very "
            "weights it was measured on. `python -m pipeline evaluate --data DIR --part test` "
            "measures them on the database's test films."
        ),
        icon=":material/straighten:",
    )


def _score_names() -> dict[str, str]:
    return {
        "auc": "AUC",
        "sensitivity": _("Sensitivity (recall)"),
        "specificity": _("Specificity"),
        "accuracy": _("Accuracy"),
    }


def _row(model: str, name: str, scored: dict) -> dict:
    write = (lambda v: number(v, 3)) if name in ("AUC", "Dice") else (lambda v: percent(v, 1))
    return {
        _("Model"): model,
        _("Score"): name,
        _("Value"): write(scored["value"]),
        _("95 % interval"): f"{write(scored['low'])} – {write(scored['high'])}",
        _("Films"): str(scored["n"]),
    }


def show_weights() -> None:
    """Files, sizes and hashes."""
    models = registry.read_registry()["models"]
    st.table(
        [
            {
                _("Model"): name,
                _("Parameters"): number(model["parameters"], 0),
                _("Threshold"): number(model["threshold"], 3) if model.get("threshold") else "–",
                "sha256": model["sha256"][:16] + "…",
            }
            for name, model in models.items()
        ]
    )
