"""Take a case away: one-page PDF, JSON, and DICOM objects for a film that came as DICOM."""

from datetime import UTC, datetime

import streamlit as st

from app import inference
from app.answer import as_chosen
from app.language import current, translator
from app.language import gettext as _
from pipeline.diagnosis import Diagnosis
from pipeline.report.pdf import IDENTITY_LENGTH, case_pdf
from pipeline.report.record import case_json


def show_take_away(case: inference.Case, diagnosis: Diagnosis) -> None:
    """Buttons that make the files when they are pressed, and keep nothing."""
    with st.expander(_("Take it away: PDF, JSON, DICOM"), icon=":material/download:"):
        identity = st.text_input(
            _("Who this is (printed on the PDF only; leave empty for nobody)"),
            max_chars=IDENTITY_LENGTH,
            key="identity",
        )
        others = [d for d in case.answers.values() if d.model != diagnosis.model]
        diagnoses = [as_chosen(d) for d in (diagnosis, *others)]
        synthetic, language = case.origin == "synthetic", current()
        translate = translator(language)  # files are made after the page, without a session

        def pdf() -> bytes:
            when = datetime.now(UTC).astimezone()
            return case_pdf(
                diagnoses, translate, language, when=when, identity=identity, synthetic=synthetic
            )

        def record() -> bytes:
            return case_json(diagnoses, when=datetime.now(UTC).astimezone(), synthetic=synthetic)

        with st.container(horizontal=True):
            st.download_button(
                "PDF", pdf, "pulmoscope.pdf", "application/pdf", key="pdf", on_click="ignore"
            )
            st.download_button(
                "JSON", record, "pulmoscope.json", "application/json", key="json", on_click="ignore"
            )
            if case.source:
                _offer_dicom(case, diagnoses)
        if not case.source:
            st.caption(_("DICOM objects are offered for films that came as DICOM."))


def _offer_dicom(case: inference.Case, diagnoses: list[Diagnosis]) -> None:
    """A button that makes the objects, then one that hands them over, or says why not."""
    key = ("dicom", case.radiograph.sha256, *(f"{d.model}{d.threshold}" for d in diagnoses))
    made = st.session_state.setdefault("dicom_objects", {})
    if key not in made:
        if not st.button(_("Make DICOM objects"), key="make_dicom"):
            return
        from pipeline.report.dicom import NotExportable, dicom_zip

        try:
            with st.spinner(_("Making DICOM objects …")):
                made.clear()  # one case at a time: they are large
                made[key] = dicom_zip(case.source, diagnoses)
        except NotExportable as error:
            st.error(error.message.sentence(_), icon=":material/error:")
            return
    st.download_button(
        _("DICOM (segmentation, heatmap, report)"),
        made[key],
        "pulmoscope-dicom.zip",
        "application/zip",
        key="dicom",
        on_click="ignore",
    )
