"""The printed page as a DICOM object: Encapsulated PDF (PS3.3 A.45.1)."""

from datetime import datetime

from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from pipeline.report.dicom.source import PATIENT, STUDY


def encapsulated_pdf(
    header: Dataset, pdf: bytes, title: str, when: datetime, **series: str | int
) -> Dataset:
    """A PDF in the film's study. ``header``: see `read_source`; ``series``: identifiers,
    descriptions and equipment, as attributes by keyword."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EncapsulatedPDFStorage
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("StudyInstanceUID", *PATIENT, *STUDY):
        setattr(made, keyword, header.get(keyword))
    for keyword, value in series.items():
        setattr(made, keyword, value)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.Modality, made.ConversionType, made.BurnedInAnnotation = "DOC", "WSD", "NO"
    made.ContentDate, made.ContentTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    made.AcquisitionDateTime = None
    made.DocumentTitle = title
    made.ConceptNameCodeSequence = [CodedConcept.from_code(codes.cid7021.ImagingMeasurementReport)]
    made.SourceInstanceSequence = [_reference(header)]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    return made


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        header.SOPClassUID,
        header.SOPInstanceUID,
    )
    return item
