"""What goes to the archive, ready to be sent: the objects of an answer under lasting identifiers.

Made a second time of the same film, by the same model, with the same answer, they have the same
UIDs: an archive that has them keeps what it has.
"""

import io
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import highdicom
import pydicom
from pydicom import DataElement, Dataset

from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.dicom_header import Header
from pipeline.report.dicom.document import encapsulated_pdf
from pipeline.report.dicom.objects import SERIES_NUMBER, dicom_objects
from pipeline.report.dicom.presentation import presentation_state
from pipeline.report.dicom.source import read_source
from pipeline.report.pdf import case_pdf
from pipeline.report.provenance import answer_mark, check_same_film, lasting_uuid
from pipeline.report.wording import Wording

GENERATED = str(highdicom.UID()).rpartition(".")[0]  # what highdicom's own UIDs begin with
REFERENCES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def result_objects(
    source: bytes,
    diagnosis: Diagnosis,
    translate: Callable[[str], str] = str,
    language: str = "en",
) -> dict[str, bytes]:
    """The files of `dicom_objects`, a presentation state (``lungs.pr.dcm``) and the printed page
    (``page.pdf.dcm``), with lasting UIDs, their series named in the reader's language.

    Without lungs there is no presentation state. Raises as `dicom_objects`.
    """
    made = dicom_objects(source, diagnosis)
    objects = {name: pydicom.dcmread(io.BytesIO(data)) for name, data in made.items()}
    film = pydicom.dcmread(io.BytesIO(source), force=True, stop_before_pixels=True)
    kept = {str(film.get(keyword, "")) for keyword in REFERENCES}
    page = {"page.pdf.dcm": _page(read_source(source), diagnosis, translate, language)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # films break many a rule that nothing here rests on
        if "lungs.seg.dcm" in objects:
            objects["lungs.pr.dcm"] = _presentation(source, film, diagnosis)
        mark = answer_mark(diagnosis)
        give_lasting_uids(objects.values(), mark, kept)
        give_lasting_uids(page.values(), mark + language, kept)
        names = series_names(diagnosis.model, translate)
        for name, dataset in (objects | page).items():
            dataset.SeriesDescription = names[name]
        return {name: _written(dataset) for name, dataset in (objects | page).items()}


def _presentation(source: bytes, film: Dataset, diagnosis: Diagnosis) -> Dataset:
    header = read_source(source)
    header.PhotometricInterpretation = film.PhotometricInterpretation
    header.SamplesPerPixel, header.BitsStored = film.SamplesPerPixel, film.BitsStored
    return presentation_state(
        header,
        diagnosis,
        _window(film),
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER + 4,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="Pulmoscope",
        manufacturer_model_name="Pulmoscope",
        software_versions=diagnosis.version,
        device_serial_number=diagnosis.unet_sha256,
        specific_character_set="ISO_IR 192",
    )


def _window(film: Dataset) -> tuple[float, float] | None:
    """The film's first window, where it has one that shows something."""
    found = Header(film)
    centre, width = found.number("WindowCenter"), found.number("WindowWidth")
    return None if centre is None or width is None or width < 1 else (centre, width)


def _page(
    header: Dataset, diagnosis: Diagnosis, translate: Callable[[str], str], language: str
) -> Dataset:
    when = datetime.now(UTC).astimezone()
    return encapsulated_pdf(
        header,
        case_pdf([diagnosis], translate, language, when=when),
        Wording(translate, language).title(),
        when,
        SeriesInstanceUID=highdicom.UID(),
        SOPInstanceUID=highdicom.UID(),
        SeriesNumber=SERIES_NUMBER + 5,
        InstanceNumber=1,
        Manufacturer="Pulmoscope",
        ManufacturerModelName="Pulmoscope",
        SoftwareVersions=diagnosis.version,
        DeviceSerialNumber=diagnosis.weights_sha256,
    )


def results_zip(
    source: bytes,
    diagnoses: Sequence[Diagnosis],
    translate: Callable[[str], str],
    language: str,
) -> bytes:
    """The objects of one film's answers in a ZIP, in one folder per model."""
    check_same_film(diagnoses)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for diagnosis in diagnoses:
            objects = result_objects(source, diagnosis, translate, language)
            for name, data in objects.items():
                archive.writestr(f"{diagnosis.model}/{name}", data)
    return buffer.getvalue()


def series_names(model: str, translate: Callable[[str], str]) -> dict[str, str]:
    """What each object's series is called, at most 64 characters (PS3.5 6.2, LO)."""
    _ = translate
    warning = _("Not for diagnostic use")
    whats = {
        "lungs.seg.dcm": _("lungs"),
        "heatmap.pm.dcm": _("evidence"),
        "heatmap.sc.dcm": _("heatmap"),
        "score.sr.dcm": _("score"),
        "lungs.pr.dcm": _("outline"),
        "page.pdf.dcm": _("page"),
    }
    return {name: f"Pulmoscope {what}, {model}. {warning}"[:64] for name, what in whats.items()}


def give_lasting_uids(objects: Iterable[Dataset], mark: str, kept: set[str]) -> None:
    """Replace every UID that was drawn at random, wherever it stands, by a lasting one.

    ``mark``: what the new ones are derived from (PS3.5 B.2: 2.25 and a UUID as a number);
    ``kept``: the film's own UIDs, whoever made them.
    """
    known: dict[str, str] = {}

    def lasting(uid: str) -> str:
        if uid in kept or not uid.startswith(GENERATED):
            return uid
        return known.setdefault(uid, f"2.25.{lasting_uuid(mark, str(len(known))).int}")

    def replace(_dataset: Dataset, element: DataElement) -> None:
        if element.VR == "UI" and element.value:
            several = isinstance(element.value, pydicom.multival.MultiValue)
            values = [lasting(str(uid)) for uid in (element.value if several else [element.value])]
            element.value = values if several else values[0]

    for one in objects:
        one.walk(replace)
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
