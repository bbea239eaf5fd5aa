"""The parts of the page From the PACS: a search, its list, and where an image goes from there."""

import base64
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from app.sections import compare
from app.session import cases, pacs
from app.session.language import gettext as _
from app.session.language import sentence
from pipeline.explain.overlay import shrink
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.pacs.archive import MODALITIES, MOST_FOUND, Criteria, archive
from pipeline.pacs.found import FoundImage
from pipeline.report.tables import safe
from pipeline.serving import films
from pipeline.serving.queue import NoAnswer

PAGES = Path(__file__).resolve().parents[2] / "pages"
DAYS = 7  # that a search goes back to begin with
PICTURES = 40  # of the first rows
PICTURE_SIDE = 96


def show_why_not() -> None:
    """Why nobody is shown a list of patients here."""
    st.info(
        _(
            "The list of patients is shown only where signing in is on, or where the server can "
            "be reached from its own machine alone. Ask the server administrator to set "
            "PULMOSCOPE_SIGN_IN."
        ),
        icon=":material/lock:",
    )


def choose_criteria() -> Criteria | None:
    """What to search for; None until the reader asks."""
    with st.form("pacs_search"):
        begin, end, kinds = st.columns([1, 1, 2])
        today = date.today()
        first = begin.date_input(_("From"), today - timedelta(DAYS), key="pacs_begin")
        last = end.date_input(_("To"), None, key="pacs_end")
        modalities = kinds.pills(
            _("Modality"), MODALITIES, selection_mode="multi", default=MODALITIES, key="pacs_kinds"
        )
        accession, patient = st.columns(2)
        number = accession.text_input(_("Accession number"), key="pacs_accession")
        patient_id = patient.text_input(_("Patient ID"), key="pacs_patient")
        if not st.form_submit_button(_("Search"), type="primary", icon=":material/search:"):
            return None
    return Criteria(first, last, modalities or MODALITIES, number, patient_id)


def search(criteria: Criteria) -> None:
    """Ask the PACS, and keep what it found for the session. Raises PacsError."""
    with st.spinner(_("Searching the PACS…")):
        pacs.remember([], False, {})
        found, more = archive().search(criteria)
        came = archive().thumbnails(found[:PICTURES])
        pacs.remember(found, more, {uid: url for uid, jpeg in came.items() if (url := _url(jpeg))})


def _url(jpeg: bytes) -> str | None:
    """A small picture as a data URL, or None for what is none."""
    try:
        film = films.read(jpeg, cases.party()).pixels
    except (UnreadableRadiograph, NoAnswer):
        return None
    small = shrink(film, PICTURE_SIDE).clip(0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def show_empty_state() -> None:
    """What the page is for, before there is a search."""
    st.info(
        _(
            "Search the PACS for chest radiographs. Tick one to read it or to compare it with "
            "earlier ones of the same patient, or several for the work list. Images are held in "
            "memory only."
        ),
        icon=":material/search:",
    )


def show_found() -> list[FoundImage] | None:
    """The list; returns the rows that are ticked, None where there was no search."""
    if "pacs_found" not in st.session_state:
        return None
    found, more = st.session_state["pacs_found"]
    if more:
        text = _("Only the latest {count} images are listed: search for less.")
        st.warning(text.format(count=MOST_FOUND), icon=":material/filter_list:")
    frontal = st.toggle(
        _("Chest, frontal"),
        True,
        key="pacs_frontal",
        help=_("Images that do not say what they show stay in the list."),
    )
    shown = [one for one in found if one.may_be_frontal_chest or not frontal]
    text = _("Images: {shown} of {found} found")
    st.caption(text.format(shown=len(shown), found=len(found)))
    if not shown:
        return []
    event = st.dataframe(
        _frame(shown),
        column_config=_columns(),
        hide_index=True,
        row_height=56,
        height=min(620, 40 + 56 * len(shown)),
        placeholder="–",
        on_select="rerun",
        selection_mode="multi-row",
        key=f"pacs_table_{st.session_state['pacs_turn']}_{frontal}",
        alt=_("Images found in the PACS"),
    )
    return [shown[i] for i in event.selection.rows]


def _frame(images: list[FoundImage]) -> pd.DataFrame:
    pictures = st.session_state["pacs_pictures"]
    return pd.DataFrame(
        {
            "picture": [pictures.get(one.instance) for one in images],
            "day": [one.day for one in images],
            "patient": [safe(one.patient_name.replace("^", " ").strip()) for one in images],
            "id": [safe(one.patient_id) for one in images],
            "accession": [safe(one.accession) for one in images],
            "kind": [" ".join((one.modality, one.projection)).strip() for one in images],
            "study": [safe(one.description) for one in images],
            "name": [one.name for one in images],
        }
    )


def _columns() -> dict:
    column = st.column_config
    return {
        "picture": column.ImageColumn(_("Image"), width=70),
        "day": column.TextColumn(_("Date"), width=100),
        "patient": column.TextColumn(_("Patient"), width=160),
        "id": column.TextColumn(_("Patient ID"), width=110),
        "accession": column.TextColumn(_("Accession number"), width=120),
        "kind": column.TextColumn(_("Modality"), width=90),
        "study": column.TextColumn(_("Study"), width=160),
        "name": column.TextColumn(_("Name here"), width=160),
    }


def offer_actions(ticked: list[FoundImage]) -> None:
    """Where the ticked images can go."""
    if not ticked:
        st.caption(_("Tick a row to open its image, or several for the work list."))
        return
    with st.container(horizontal=True):
        if len(ticked) == 1:
            read = st.button(_("Read this image"), type="primary", icon=":material/radiology:")
            priors = ticked[0].patient_id and st.button(
                _("Compare with earlier images"), icon=":material/compare:"
            )
            if read:
                _read(ticked[0])
            if priors:
                _compare(ticked[0])
        label = _("To the work list ({count})").format(count=len(ticked))
        if st.button(label, icon=":material/lists:"):
            st.session_state["worklist_waiting"] = (pacs.sources(ticked), None)
            st.switch_page(PAGES / "worklist.py")


def _read(image: FoundImage) -> None:
    if _brought(lambda: pacs.open_image(image)):
        st.switch_page(PAGES / "diagnose.py")


def _compare(image: FoundImage) -> None:
    keys: list[tuple[str, str] | None] = []
    if not _brought(lambda: keys.append(pacs.open_with_priors(image))):
        return
    if keys[0] is None:
        st.info(_("The PACS has no other frontal chest radiograph of this patient."))
        return
    compare.pick_films(*keys[0])
    st.switch_page(PAGES / "compare.py")


def _brought(bring) -> bool:
    """Whether ``bring`` has brought what it should; otherwise the reader is told why not."""
    try:
        with st.spinner(_("Bringing the image from the PACS…")):
            bring()
    except (UnreadableRadiograph, NoAnswer) as error:
        st.error(sentence(error.message), icon=":material/error:")
        return False
    return True
