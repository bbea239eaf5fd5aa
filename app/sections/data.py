"""The parts of the page about the data: what the database holds, and why that matters."""

import json
import os
from pathlib import Path

import numpy as np
import streamlit as st

from app.components.chart import show_chart
from app.components.save import save
from app.sections import about
from app.session.language import gettext as _
from app.session.language import number
from app.views import database as views
from app.views.names import class_names
from pipeline.release.measurements import DATABASE, database_statistics

GROUPS = {
    "four": {name: (name,) for name in views.CLASS_STYLES},
    "covid": {
        "COVID": ("COVID",),
        "other": ("Normal", "Lung_Opacity", "Viral Pneumonia"),
    },
}


def statistics() -> dict | None:
    """What ``python -m pipeline explore`` counted; None, and a sentence, where it did not."""
    if found := database_statistics():
        return found
    st.info(
        _(
            "No statistics yet. Download the [COVID-19 Radiography Database]({url}), unpack it, "
            "and run: {command}"
        ).format(url=about.DATABASE, command=f"`{_command('DIR')}`"),
        icon=":material/database:",
    )
    return None


def _command(folder: str) -> str:
    return f"python -m pipeline explore --data {folder} --json weights/{DATABASE}"


def words() -> dict[str, str]:
    """What the charts write."""
    return class_names() | {
        "whole": _("whole database"),
        "here": _("available images"),
        "films": _("images"),
        "share_of_class": _("share of the class"),
        "brightness": _("mean grey level of an image, 0 black to 255 white"),
        "share_of_films": _("share of images"),
        "level": _("grey level"),
        "share_of_pixels": _("share of pixels"),
        "in_database": _("in the database"),
        "in_batch": _("in a batch"),
    }


def classes(found: dict) -> dict[str, dict]:
    """The sets that are a class."""
    return {name: found["sets"][name] for name in views.CLASS_STYLES if name in found["sets"]}


def show_counts(found: dict) -> None:
    """How many films there are."""
    whole = {label: sum(sources.values()) for label, sources in (found["whole"] or {}).items()}
    here = {label: described["films"] for label, described in classes(found).items()}
    st.markdown(
        _(
            "The whole database has **{all}** images; **{here}** of them were available here, "
            "reduced to 256 × 256 pixels, plus {masks} others that only have a lung mask."
        ).format(
            all=number(sum(whole.values()), 0),
            here=number(sum(here.values()), 0),
            masks=number(found["films"] - sum(here.values()), 0),
        )
    )
    show_chart(views.counts_chart(whole or here, here, words()), key="counts")


def show_sources(found: dict) -> None:
    """Class against source, and what that means."""
    whole = found["whole"] or {k: v["sources"] for k, v in classes(found).items()}
    covid = set(whole["COVID"])
    shared = covid & {s for label, sources in whole.items() if label != "COVID" for s in sources}
    show_chart(views.sources_chart(whole, words()), key="sources")
    both = ", ".join(sorted(shared)) or _("none")
    st.warning(
        _(
            "**Class and source are confounded.** Sources with images both with and without COVID: "
            "**{both}**. Recognising the hospital is enough to recognise the class without looking "
            "at the disease. A score on images of this database measures both together."
        ).format(both=both),
        icon=":material/warning:",
    )
    _offer_slide(whole)


@st.fragment
def _offer_slide(whole: dict) -> None:
    title = _("Where the images of each class come from")
    note = _("COVID-19 Radiography Database, all {count} images.").format(
        count=number(sum(sum(s.values()) for s in whole.values()), 0)
    )
    with st.container(horizontal=True):
        for form, kind in (("svg", "image/svg+xml"), ("png", "image/png")):
            label = _("Sources as {form}").format(form=form.upper())
            if st.button(label, key=f"sources_{form}", icon=":material/download:"):
                slide = views.sources_slide(whole, words(), title, note, form)
                save(slide, f"pulmoscope-sources.{form}", kind)


def show_brightness(found: dict) -> None:
    """How bright films are, by class."""
    show_chart(views.brightness_chart(classes(found), words()), key="brightness")
    st.caption(
        _(
            "Brightness differs between classes because it differs between machines: one reason to "
            "equalise every image."
        )
    )


@st.fragment
def show_levels(found: dict) -> None:
    """Grey levels before and after equalising, and inside the lungs."""
    names = {
        "as_they_come": _("Original"),
        "equalised": _("Equalised"),
        "lungs_equalised": _("Lungs only, equalised"),
    }
    kind = st.segmented_control(
        _("Images"), list(names), format_func=names.get, default="as_they_come", key="levels_kind"
    )
    chart = views.levels_chart(classes(found), kind or "as_they_come", words())
    show_chart(chart, key="levels")
    st.caption(
        _(
            "Mean over the images of a class. Equalised images use all grey levels equally, "
            "whatever the exposure; lungs are counted where the database has a lung mask."
        )
    )


def show_examples(found: dict) -> None:
    """The darkest, the middle and the brightest film of each class, where they are at hand."""
    folder = os.environ.get("PULMOSCOPE_DATA")
    if not folder or not Path(folder).is_dir():
        st.info(
            _(
                "The images themselves are not part of this app. Download the [COVID-19 "
                "Radiography Database]({url}), set `PULMOSCOPE_DATA` to its folder and restart: "
                "the darkest, the median and the brightest image of each class are then shown here."
            ).format(url=about.DATABASE),
            icon=":material/database:",
        )
        return
    pictures = _example_pictures(folder, json.dumps(found["sets"]))
    if not pictures:
        st.info(_("None of the images counted is in that folder."))
    for label, row in pictures.items():
        st.markdown(f"**{class_names()[label]}**")
        for column, (name, brightness, picture) in zip(st.columns(3), row, strict=False):
            with column:
                level = number(brightness, 0)
                caption = _("{name}, mean level {level}: image with mask outline, and masked")
                caption = caption.format(name=name, level=level)
                st.image(picture, caption=caption, alt=caption, width="stretch")


@st.cache_data(show_spinner=False)
def _example_pictures(folder: str, sets: str) -> dict[str, list]:
    """Film with contour beside the masked film, uint8 RGB, by class."""
    from pipeline.data.database import read_database, read_film, read_mask
    from pipeline.explain.overlay import draw_contour, film_rgb

    try:
        films = {(f.label, f.name): f for f in read_database(folder)}
    except FileNotFoundError:
        return {}
    found: dict[str, list] = {}
    for label, described in json.loads(sets).items():
        for example in described["examples"]:
            film = films.get((label, example["name"]))
            if film and film.mask:
                pixels, mask = read_film(film.path, 256), read_mask(film.mask, 256)
                pair = draw_contour(film_rgb(pixels), mask), film_rgb(pixels * (mask > 0))
                row = (example["name"], example["brightness"], np.hstack(pair))
                found.setdefault(label, []).append(row)
    return found


def show_duplicates(found: dict) -> None:
    """Films that show the same picture."""
    twins = found["near_duplicates"]
    st.markdown(
        _(
            "**{films}** images form **{groups}** groups of near-identical images, the largest of "
            "{largest}; {across} of the groups span more than one class. Each group stays in one "
            "part of the split; otherwise a model would be tested on what it was trained on."
        ).format(
            films=number(twins["films_in_them"], 0),
            groups=number(twins["groups_of_several"], 0),
            largest=number(twins["largest"], 0),
            across=number(twins["across_classes"], 0),
        )
    )


@st.fragment
def show_batches(found: dict) -> None:
    """What a balanced batch holds, drawn by the very code that trains."""
    names = {"covid": _("COVID against the rest"), "four": _("Four classes")}
    left, right = st.columns(2)
    with left:
        kind = st.segmented_control(
            _("Classes to separate"), list(names), format_func=names.get, default="covid",
            required=True, key="batch_kind",
        )  # fmt: skip
    with right:
        size = st.select_slider(_("Images per batch"), (12, 24, 48, 96), 24, key="batch_size")
    counts = _class_counts(found)
    with st.spinner(_("Drawing a batch…")):
        labels, epoch = _draw_batch(counts, kind or "covid", size)
    show_chart(views.batch_chart(labels, words()), key="batch")
    database = {label: n / sum(counts.values()) for label, n in counts.items()}
    batch = {label: labels.count(label) / len(labels) for label in counts}
    show_chart(views.shares_chart(database, batch, words()), key="shares")
    often = ", ".join(
        f"{class_names()[label]} {number(times, 1)} ×" for label, times in epoch.items()
    )
    st.caption(
        _(
            "Times each image is shown in one epoch, on average: {often}. Rare classes are "
            "repeated in a new order until the largest share has been shown in full."
        ).format(often=often)
    )


def _class_counts(found: dict) -> dict[str, int]:
    if found["whole"]:
        return {k: sum(found["whole"][k].values()) for k in views.CLASS_STYLES}
    return {label: described["films"] for label, described in classes(found).items()}


def _draw_batch(counts: dict[str, int], kind: str, size: int) -> tuple[list[str], dict[str, float]]:
    """The labels of one batch, and how often an epoch shows an image of each class.

    An epoch ends once the largest share has been shown whole; the others come again.
    """
    groups = GROUPS[kind].values()
    share = {label: size // (len(groups) * len(merged)) for merged in groups for label in merged}
    batches = max(-(-counts[label] // count) for label, count in share.items())
    batch = [label for label, count in share.items() for _ in range(count)]
    return batch, {label: batches * count / counts[label] for label, count in share.items()}


def show_provenance(found: dict) -> None:
    """How the figures were made."""
    st.caption(
        _("Computed by {command} from {films} images; sha256 of their list: {hash}.").format(
            command=f"`{_command('DIR')}`",
            films=number(found["films"], 0),
            hash=f"`{found['file_list_sha256'][:16]}…`",
        )
    )
