"""The parts of the page about the models."""

import platform
import re
import tomllib
from importlib import metadata

import streamlit as st

from app.session.language import current, number, percent, sentence
from app.session.language import gettext as _
from app.views.names import model_names
from pipeline import __version__
from pipeline.inference import engine
from pipeline.models import registry
from pipeline.models.registry import WeightsError
from pipeline.models.site import site_card
from pipeline.release.measurements import scores_on_test_films
from pipeline.report.site_card import site_rows
from pipeline.serving.device import prepare_device, processor
from pipeline.serving.queue import service

DATABASE = "https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database"


def intended_use() -> str:
    """For whom and for what, as a Markdown list."""
    sentences = [
        _(
            "**For** teaching, research and demonstration: readers familiar with chest radiographs "
            "who want to see how a network reads one, and juries who want to judge how well "
            "founded its result is."
        ),
        _("**On** one frontal chest radiograph (PA or AP) of an adult at a time."),
        _(
            "**Not for** diagnosis, triage, screening or treatment decisions; not for children, "
            "lateral views, CT, or photographs of radiographs."
        ),
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def data() -> str:
    """What the weights were trained on, and whose it is, as a Markdown list."""
    sentences = [
        _(
            "10,680 images of the [COVID-19 Radiography Database]({database}) (Chowdhury et al. "
            "2020, Rahman et al. 2021) with a class label; its lung masks, and those of "
            "COVID-QU-Ex (Tahir et al. 2021) and of the Shenzhen set (Jaeger et al. 2014, Stirenko "
            "et al. 2018)."
        ).format(database=DATABASE),
        _(
            "Split 75/15/10 into training, validation and test images, near-duplicates kept "
            "together; thresholds, calibration and quality limits were chosen on validation images."
        ),
        _(
            "The images are for research use; the rights stay with their authors. None is "
            "included here."
        ),
        _("Images labelled synthetic were drawn by a program and show no patient."),
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def limits() -> str:
    """What no reader should overlook, as a Markdown list."""
    sentences = [
        _(
            "Not a medical device, never evaluated prospectively on patients, not for "
            "diagnostic use."
        ),
        _(
            "Trained on the COVID-19 Radiography Database, where COVID images come from other "
            "hospitals than the rest: every score below measures disease and source together. "
            "Expect worse results on images from another hospital."
        ),
        _("The images labelled viral pneumonia are all of children."),
        _(
            "The lung masks used for training were drawn by networks and checked by people; only "
            "those of the Shenzhen set were drawn by hand."
        ),
        _("Frontal images only; no score is given when the lungs are not found."),
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def show_scores() -> None:
    """A table of what `evaluate` measured on test films."""
    rows, masks = [], {}
    for model in registry.classifiers(every=True):
        scores = scores_on_test_films(model)
        if scores:
            title = model_names().get(model, model)
            rows += [_row(title, name, scores[key]) for key, name in _score_names().items()]
            segmentation = scores["segmentation"]
            unet = f"U-Net ({registry.entry(model).input_size} px)"
            masks[unet] = [
                _row(unet, "Dice", segmentation["dice"]),
                _row(unet, _("Pixel accuracy"), segmentation["accuracy"]),
            ]
    rows += [row for measured in masks.values() for row in measured]
    if not rows:
        show_no_scores()
        return
    st.table(rows)
    st.caption(
        _(
            "Images used neither for training nor for choosing the threshold; 95% confidence "
            "intervals."
        )
    )


def show_site() -> None:
    """The hospital's own card, where there is one."""
    try:
        card = site_card()
    except WeightsError as error:
        st.error(sentence(error.message))
        return
    if card is None:
        return
    st.subheader(_("At this hospital"), anchor=False)
    if not card.fits(registry.entry(card.model)):
        st.warning(_("The site card was made with other weights and is not used: make it again."))
        return
    st.table(
        [
            {_("Measure"): label, _("Value"): value}
            for label, value in site_rows(card.record, _, current())
        ]
    )
    st.caption(
        _("95% CI, from the site card {sha256}. Threshold and triage limits are used here.").format(
            sha256=card.record["sha256"][:12]
        )
    )


def show_no_scores() -> None:
    """Why there are no figures, and what makes them."""
    st.info(
        _(
            "No measured scores match the installed weights: a figure is shown only for the "
            "weights it was measured on. `python -m pipeline evaluate --data DIR --part test` "
            "measures them on the test images of the database."
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
        _("95% CI"): f"{write(scored['low'])} – {write(scored['high'])}",
        _("Images"): number(scored["n"], 0),
    }


def show_weights() -> None:
    """Files, sizes and hashes."""
    models = registry.read_registry()["models"]
    entries = {name: registry.entry(name) for name in models}
    st.table(
        [
            {
                _("Model"): model_names().get(name, name),
                _("Parameters"): number(entry.parameters, 0),
                _("Input size"): f"{entry.input_size} px",
                _("Threshold"): number(entry.threshold, 3) if entry.threshold else "–",
                _("File"): f"{number(entry.file.stat().st_size / 1e6, 1)} MB",
            }
            for name, entry in entries.items()
            if entry.is_available()
        ]
    )
    st.code("\n".join(f"{e.sha256}  {e.file.name}" for e in entries.values()), language=None)
    st.caption(_("sha256 of each file, checked before it is loaded."))


def show_device() -> None:
    """Which processor or graphics card computes, and with what."""
    models = service().models
    loaded = models.loaded()
    name = prepare_device() if loaded else processor()
    st.markdown(_("Computed on: {device}.").format(device=name))
    engines = sorted({models.prepare(model).result().engine for model in loaded})
    if engines:
        named = "; ".join(map(engine.describe, engines))
        st.markdown(_("Computed with: {engine}.").format(engine=named))


def show_versions() -> None:
    """Pulmoscope, Python and the packages that it asks for, with versions and licences."""
    own = {
        _("Package"): "Pulmoscope",
        _("Version"): __version__,
        _("Licence"): _("MIT (code); weights for research only"),
    }
    python = {
        _("Package"): "Python",
        _("Version"): platform.python_version(),
        _("Licence"): "PSF-2.0",
    }
    st.table([own, python, *map(_package, filter(_is_installed, _asked_for()))])


def _asked_for() -> list[str]:
    text = (registry.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + extras["keras"] + extras["app"]
    return [name[0] for line in lines if (name := re.match(r"[A-Za-z0-9_.-]+", line))]


def _is_installed(name: str) -> bool:
    """An image for ONNX Runtime alone has neither TensorFlow nor Keras."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _package(name: str) -> dict:
    described = metadata.metadata(name)
    classified = [
        c.split(" :: ")[-1].removeprefix("OSI Approved").strip()
        for c in described.get_all("Classifier") or []
        if c.startswith("License :: OSI")
    ]
    # Some packages write the licence's whole text into this field.
    short = (described["License"] or "").split("\n")[0][:40]
    return {
        _("Package"): name,
        _("Version"): described["Version"],
        _("Licence"): described["License-Expression"] or ", ".join(classified) or short or "?",
    }
