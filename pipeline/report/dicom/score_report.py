"""The score of one answer as a DICOM measurement report: Comprehensive SR by TID 1500.

The score is no probability of disease, and no standard code says what it is: its names come from
a coding scheme of our own, 99PULMOSCOPE, which the report identifies.
"""

from collections.abc import Sequence

import highdicom
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pipeline.inference.diagnosis import Diagnosis
from pipeline.quality.measures import LungMeasures
from pipeline.report.coding import DEVICE_UID, DISCLAIMER, SCHEME
from pipeline.report.wording import stability_sentence, triage_guarantee, triage_names

PROJECTIONS = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1")  # CR, DX
WHY = "Reason for withholding the score"
RIGHT_LUNG = CodedConcept("3341006", "SCT", "Right lung")
LEFT_LUNG = CodedConcept("44029006", "SCT", "Left lung")
SIZES = {
    "height": codes.UCUM.Millimeter,
    "width": codes.UCUM.Millimeter,
    "area": codes.UCUM.SquareCentimeter,
}


def score_report(
    header: Dataset, diagnosis: Diagnosis, lungs: Segmentation | None, **series
) -> ComprehensiveSR:
    """The report on one answer, unverified.

    ``header``: see `read_source`; ``lungs``: the segmentation that the lung area is measured on;
    ``series``: identifiers and descriptions of the new series.
    """
    groups = [_score_group(header, diagnosis)]
    if lungs is not None:
        groups.append(_lung_group(header, diagnosis, lungs))
    content = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=CodedConcept("399208008", "SCT", "Plain chest X-ray"),
        imaging_measurements=groups,
        referenced_images=[header] if _describes_itself(header) else None,
    )
    scheme = CodingSchemeIdentificationItem(
        SCHEME, name="Pulmoscope", responsible_organization="Pulmoscope"
    )
    return ComprehensiveSR(
        evidence=[header] if lungs is None else [header, lungs],
        content=content[0],
        is_complete=True,
        is_verified=False,
        coding_schemes=[scheme],
        **series,
    )


def _describes_itself(header: Dataset) -> bool:
    """Whether the film can stand in an image library (TID 1603 asks for both of its elements)."""
    return (
        header.SOPClassUID in PROJECTIONS
        and len(header.get("PatientOrientation") or ()) == 2
        and len(header.get("ImagerPixelSpacing") or ()) == 2
    )


def _own(code: str, meaning: str) -> CodedConcept:
    return CodedConcept(code, SCHEME, meaning)


def _observer() -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=DEVICE_UID, name="Pulmoscope", manufacturer_name="Pulmoscope"
            ),
        )
    )


def _algorithm(name: str, version: str, **parameters) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=name,
        version=version,
        parameters=[f"{key}={value}" for key, value in parameters.items()],
    )


def _score_group(header: Dataset, diagnosis: Diagnosis) -> MeasurementsAndQualitativeEvaluations:
    """Score, threshold and which side of it, or that the score is withheld and why (TID 1501)."""
    film = diagnosis.radiograph
    parameters = {"cam": diagnosis.cam, "film_sha256": film.sha256}
    if film.repairs:
        parameters["film_repairs"] = "+".join(film.repairs)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(highdicom.UID(), "Pulmoscope COVID score"),
        algorithm_id=_algorithm(
            f"Pulmoscope {diagnosis.model}",
            diagnosis.version,
            weights_sha256=diagnosis.weights_sha256,
            unet_sha256=diagnosis.unet_sha256,
            **parameters,
        ),
        finding_sites=[FindingSite(codes.SCT.Lung)],
        measurements=_measurements(diagnosis),
        qualitative_evaluations=[
            _result(diagnosis),
            *_triage(diagnosis),
            *_coded("reason", WHY, [reason.code for reason in diagnosis.verdict.reasons]),
            *_coded("repair", "Set right before reading", film.repairs),
        ],
        source_images=[SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
    )
    sentences = [reason.sentence() for reason in diagnosis.verdict.reasons]
    texts = [(_own("reason", WHY), sentence) for sentence in sentences]
    comments = [DISCLAIMER]
    if diagnosis.triage:
        comments.append(triage_guarantee(diagnosis.triage_limits, str, "en"))
    if diagnosis.stability:
        comments.append(stability_sentence(diagnosis.stability, diagnosis.threshold, str, "en"))
    for name, text in [*texts, *((codes.DCM.Comment, comment) for comment in comments)]:
        group[0].ContentSequence.append(
            TextContentItem(name, text, RelationshipTypeValues.CONTAINS)
        )
    return group


def _measurements(diagnosis: Diagnosis) -> list[Measurement] | None:
    if not diagnosis.verdict.may_score:
        return None
    values = {
        ("covid-score", "COVID score, 0 to 1"): diagnosis.score,
        ("threshold", "Threshold of the COVID score"): diagnosis.threshold,
    }
    return [
        Measurement(_own(*name), round(value, 6), codes.UCUM.NoUnits)
        for name, value in values.items()
    ]


def _result(diagnosis: Diagnosis) -> QualitativeEvaluation:
    values = {
        None: _own("withheld", "Score withheld"),
        True: _own("at-or-above", "Score at or above the threshold"),
        False: _own("below", "Score below the threshold"),
    }
    return QualitativeEvaluation(_own("result", "Result"), values[diagnosis.positive])


def _triage(diagnosis: Diagnosis) -> list[QualitativeEvaluation]:
    """One of three answers, where the model has limits for them and the score is given."""
    if diagnosis.triage is None:
        return []
    meaning = triage_names(str)[diagnosis.triage]
    return [QualitativeEvaluation(_own("triage", "Triage"), _own(diagnosis.triage, meaning))]


def _coded(code: str, meaning: str, values: Sequence[str]) -> list[QualitativeEvaluation]:
    """Codes of ours, which `docs/dicom.md` lists, for each of these."""
    name = _own(code, meaning)
    return [QualitativeEvaluation(name, _own(v, v.replace("_", " "))) for v in values]


def _sizes(measures: LungMeasures | None) -> list[Measurement]:
    """Of either lung, where the film's pixels have a spacing, and the cardiothoracic ratio."""
    found = []
    if measures and measures.at:
        sites = {"right": RIGHT_LUNG, "left": LEFT_LUNG}
        for side, site in sites.items():
            for code, unit in SIZES.items():
                value = getattr(measures, f"{side}_{code}")
                place = [FindingSite(site)]
                name = _own(f"lung-{code}", f"Lung {code}, at the {measures.at}")
                found.append(Measurement(name, round(value, 1), unit, finding_sites=place))
    if measures and measures.cardiothoracic_ratio:
        name = _own("ctr-of-lungs", "Cardiothoracic ratio, from the outline of the lungs")
        ratio = round(measures.cardiothoracic_ratio, 3)
        found.append(Measurement(name, ratio, codes.UCUM.NoUnits))
    return found


def _lung_group(
    header: Dataset, diagnosis: Diagnosis, lungs: Segmentation
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Share of the film that the segment covers (TID 1410)."""
    area = Measurement(
        _own("lung-area", "Lung area as a share of the image"),
        round(diagnosis.lung_area_fraction, 6),
        codes.UCUM.NoUnits,
    )
    segment = ReferencedSegmentationFrame(
        sop_class_uid=lungs.SOPClassUID,
        sop_instance_uid=lungs.SOPInstanceUID,
        frame_number=1,
        segment_number=1,
        source_image=SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID),
    )
    # highdicom writes both numbers, PS3.3 C.18.4 allows one.
    del segment[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(highdicom.UID(), "Pulmoscope lungs"),
        referenced_segment=segment,
        algorithm_id=_algorithm(
            "Pulmoscope U-Net", diagnosis.version, weights_sha256=diagnosis.unet_sha256
        ),
        finding_category=codes.cid7150.AnatomicalStructure,
        finding_type=codes.SCT.Lung,
        measurements=[area, *_sizes(diagnosis.measures)],
    )
