"""What goes to the archive, ready to be sent: the objects of an answer under lasting identifiers.

Made a second time of the same film, by the same model, with the same answer, they have the same
UIDs: an archive that has them keeps what it has.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence

import highdicom
import pydicom
from pydicom import DataElement, Dataset

from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.dicom.objects import dicom_objects
from pipeline.report.provenance import answer_mark, check_same_film, lasting_uuid

GENERATED = str(highdicom.UID()).rpartition(".")[0]  # what highdicom's own UIDs begin with
REFERENCES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def result_objects(
    source: bytes, diagnosis: Diagnosis, translate: Callable[[str], str]
) -> dict[str, bytes]:
    """The files of `dicom_objects` with lasting UIDs, their series named in the reader's language.

    Raises as `dicom_objects`.
    """
    made = dicom_objects(source, diagnosis)
    objects = {name: pydicom.dcmread(io.BytesIO(data)) for name, data in made.items()}
    film = pydicom.dcmread(io.BytesIO(source), force=True, stop_before_pixels=True)
    kept = {str(film.get(keyword, "")) for keyword in REFERENCES}
    give_lasting_uids(objects.values(), answer_mark(diagnosis), kept)
    names = series_names(diagnosis.model, translate)
    for name, dataset in objects.items():
        dataset.SeriesDescription = names[name]
    return {name: _written(dataset) for name, dataset in objects.items()}


def results_zip(
    source: bytes, diagnoses: Sequence[Diagnosis], translate: Callable[[str], str]
) -> bytes:
    """The objects of one film's answers in a ZIP, in one folder per model."""
    check_same_film(diagnoses)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for diagnosis in diagnoses:
            for name, data in result_objects(source, diagnosis, translate).items():
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
