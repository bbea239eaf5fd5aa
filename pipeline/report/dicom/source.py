"""The DICOM file that was read, as far as the objects that are derived from it need it.

Here, and nowhere else outside `pipeline.io`, identity tags are read: objects that go back
to the archive belong to the patient and the study of the film, so they name both. Nothing of this
reaches a `Diagnosis`, a page, a PDF or a log.
"""

import io
import re

import pydicom
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.valuerep import validate_value

from pipeline.text.messages import Message

REFERENCE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Patient and General Study modules, PS3.3 C.7.1.1 and C.7.2.1: type 2, empty where unknown.
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
# Never left out: without them an object belongs to nobody, or to somebody else.
IDENTIFIERS = ("PatientID", "PatientName", "AccessionNumber", "StudyID", "IssuerOfPatientID")
# Copied where the film has them.
OPTIONAL = (
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
    "Modality",
    "PatientOrientation",
    "BodyPartExamined",
    "BurnedInAnnotation",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
# What these may say (PS3.3 C.7.6.1, C.7.1.1, C.7.6.1.1.5); PATTERNS holds for each of the values.
PATTERNS = {
    "PatientSex": "[MFO]",
    "PatientOrientation": "[LRAPHF]{1,3}",
    "BurnedInAnnotation": "YES|NO",
    "PatientIdentityRemoved": "YES|NO",
    "LossyImageCompression": "00|01",
}


class NotExportable(ValueError):
    """Why no DICOM objects can be made; ``message`` holds code and sentence."""

    def __init__(self, code: str, **values):
        self.message = Message(code, values)
        super().__init__(self.message.sentence())


def read_source(data: bytes) -> Dataset:
    """The elements of a DICOM film that derived objects copy, and no pixels.

    Text is decoded and will be written as UTF-8. An element whose value the standard does not allow
    is left out: archives refuse objects over a date that a film has carried for years. What tells
    whose film it is, `IDENTIFIERS`, is kept whatever it is; see `check_identifiers`. Position and
    orientation in space are not among the elements: a projection has none.

    Raises NotExportable where the film names no study, series or instance to refer to.
    """
    film = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
    header = Dataset()
    for keyword in REFERENCE:
        value = str(film.get(keyword, "") or "").strip()
        if not value:
            raise NotExportable("dicom_no_reference")
        setattr(header, keyword, value)
    header.Rows, header.Columns = int(film.Rows), int(film.Columns)
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in PATIENT + STUDY:
        _copy(film, header, keyword)
        if keyword not in header:
            setattr(header, keyword, None)
    for keyword in OPTIONAL:
        _copy(film, header, keyword)
    return header


def check_identifiers(header: Dataset) -> None:
    """Raise NotExportable where an identifier is against its value representation.

    Objects without it would belong to nobody, and archives refuse or cut it as it is.
    """
    for keyword in (*REFERENCE, *IDENTIFIERS):
        value = header.get(keyword)
        try:
            if isinstance(value, pydicom.multival.MultiValue):
                raise ValueError("one identifier, not several")
            if value is not None and value != "":
                validate_value(dictionary_VR(keyword), str(value), pydicom.config.RAISE)
        except ValueError:
            name = dictionary_description(keyword)
            raise NotExportable("dicom_identifier", name=name) from None


def _copy(film: Dataset, header: Dataset, keyword: str) -> None:
    """Copy an element, unless it is missing, empty or against its value representation."""
    tag, kind = tag_for_keyword(keyword), dictionary_VR(keyword)
    try:
        value = film.get(keyword)
        if value is None or value == "":
            return
        parts = list(value) if isinstance(value, pydicom.multival.MultiValue) else [value]
        # A name is decoded here; its bytes would keep the film's character set.
        parts = [str(part) if kind == "PN" else part for part in parts]
        for part in parts if keyword not in IDENTIFIERS else ():
            # pydicom judges a number in text as text alone.
            text = str(part) if kind == "DS" else part
            validate_value(kind, text, pydicom.config.RAISE)
            if keyword in PATTERNS and not re.fullmatch(PATTERNS[keyword], part):
                return
    except (ValueError, TypeError, AttributeError, LookupError):
        if keyword in IDENTIFIERS:  # not even readable, so it would be lost
            raise NotExportable("dicom_identifier", name=dictionary_description(keyword)) from None
        return
    whole = parts if len(parts) > 1 else parts[0]
    header.add(DataElement(tag, kind, whole, validation_mode=pydicom.config.IGNORE))
