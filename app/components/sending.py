"""Results back to the PACS that an image came from: on a press, and a second one to confirm it."""

import streamlit as st

from app.sections.answer import as_chosen
from app.session import cases
from app.session.language import current, sentence
from app.session.language import gettext as _
from pipeline.inference.diagnosis import Diagnosis
from pipeline.serving.queue import NoAnswer


@st.fragment
def offer_results(case: cases.Case, diagnosis: Diagnosis) -> None:
    """A button for an image that came from the PACS; nothing leaves before the second press."""
    if case.origin != "pacs":
        return
    from app.session import pacs  # which needs an extra

    if not pacs.may_be_shown():
        return
    others = [d for d in cases.readings(case) if d.model != diagnosis.model]
    answers = [as_chosen(d) for d in (diagnosis, *others)]
    with st.popover(_("Send results to PACS"), icon=":material/upload:"):
        st.markdown(
            _(
                "The lungs, the heatmap and the report go into this patient's study, each as a "
                "series of its own marked *not for diagnostic use*. What the PACS has it keeps: "
                "only its administrator can delete it. Sending again makes no second copy."
            )
        )
        if st.button(_("Send now"), type="primary", key="send_to_pacs"):
            _send(case, answers)


def _send(case: cases.Case, answers: list[Diagnosis]) -> None:
    from pipeline.pacs.archive import archive
    from pipeline.report.dicom.results import result_objects
    from pipeline.report.dicom.source import NotExportable

    try:
        with st.spinner(_("Sending the results…")):
            made = [result_objects(case.source, one, _, current()) for one in answers]
            files = [data for objects in made for data in objects.values()]
            archive().store(files)
    except (NotExportable, NoAnswer) as error:
        st.error(sentence(error.message), icon=":material/error:")
    else:
        text = _("The PACS has stored the results ({count} objects).")
        st.success(text.format(count=len(files)), icon=":material/check:")
