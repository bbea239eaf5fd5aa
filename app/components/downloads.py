"""Take a case away: one-page PDF, JSON, FHIR, and DICOM objects of a film that came as DICOM."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import streamlit as st

from app.components.save import save
from app.sections.answer import as_chosen
from app.session import cases
from app.session.language import current, sentence
from app.session.language import gettext as _
from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.fhir import fhir_json
from pipeline.report.file_name import file_name
from pipeline.report.pdf import IDENTITY_LENGTH, case_pdf, one_line, writable
from pipeline.report.record import case_json
from pipeline.report.wording import Wording
from pipeline.serving.stability import background


@st.fragment
def show_take_away(case: cases.Case, diagnosis: Diagnosis) -> None:
    """Buttons that make the files when they are pressed, and keep nothing."""
    with st.expander(_("Export: PDF, JSON, FHIR, DICOM"), icon=":material/download:"):
        identity = st.text_input(
            _("Patient label (optional, PDF only)"),
            max_chars=IDENTITY_LENGTH,
            key=f"identity_{case.radiograph.key}",
        )
        if writable(one_line(identity)) != one_line(identity):
            st.warning(Wording(_, current()).not_writable(), icon=":material/warning:")
        others = [d for d in cases.readings(case) if d.model != diagnosis.model]
        diagnoses = [
            replace(as_chosen(d), stability=background().known(d)) for d in (diagnosis, *others)
        ]
        synthetic, when = case.origin == "synthetic", datetime.now(UTC).astimezone()
        name = partial(file_name, case.name, diagnoses, when)
        icon = ":material/download:"
        with st.container(horizontal=True):
            pdf = st.button("PDF", key="pdf", icon=icon)
            record = st.button("JSON", key="json", icon=icon)
            fhir = st.button("FHIR", key="fhir", icon=icon)
            objects = case.source and st.button(
                _("DICOM (segmentation, heatmap, report)"), key="dicom", icon=icon
            )
        if not case.source:
            st.caption(_("DICOM objects are available for DICOM files only."))
        if pdf:
            with st.spinner(_("Creating the PDF…")):
                content = case_pdf(
                    diagnoses, _, current(), when=when, identity=identity, synthetic=synthetic
                )
            save(content, name("pdf"), "application/pdf")
        if record:
            content = case_json(diagnoses, when=when, synthetic=synthetic)
            save(content, name("json"), "application/json")
        if fhir:
            content = fhir_json(diagnoses, when=when, source=case.source)
            save(content, name("fhir.json"), "application/fhir+json")
        if objects:
            _save_dicom(case, diagnoses, name("dicom.zip"))


def _save_dicom(case: cases.Case, diagnoses: list[Diagnosis], name: str) -> None:
    """Hand over the objects, or say why there are none."""
    from pipeline.report.dicom.results import results_zip
    from pipeline.report.dicom.source import NotExportable

    try:
        with st.spinner(_("Creating the DICOM objects…")):
            content = results_zip(case.source, diagnoses, _, current())
    except NotExportable as error:
        st.error(sentence(error.message), icon=":material/error:")
    else:
        save(content, name, "application/zip")
