"""An answer as FHIR: a Bundle of a DiagnosticReport, its Observations, and their ImagingStudy.

HL7 FHIR R4 (4.0.1) and R5 (5.0.0), as JSON. No patient is named: who receives the bundle knows the
patient by the study's UID, where the film is a DICOM file.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pipeline.inference.diagnosis import Diagnosis
from pipeline.quality.measures import LungMeasures
from pipeline.report.coding import DEVICE_UID, DISCLAIMER
from pipeline.report.dicom.source import NotExportable, read_source
from pipeline.report.provenance import answer_mark, check_same_film, lasting_uuid
from pipeline.report.wording import triage_names

Release = Literal["R4", "R5"]
OURS = f"urn:oid:{DEVICE_UID}.1"  # the code system of what has no code elsewhere
HL7 = "http://terminology.hl7.org/CodeSystem"
SNOMED, UCUM, DCM = (
    "http://snomed.info/sct",
    "http://unitsofmeasure.org",
    "http://dicom.nema.org/resources/ontology/DCM",
)
UIDS = "urn:dicom:uid"


def fhir_bundle(
    diagnoses: Sequence[Diagnosis],
    *,
    when: datetime,
    source: bytes | None = None,
    release: Release = "R4",
) -> dict[str, Any]:
    """One film's answers as a Bundle of type collection.

    ``source``: the film's bytes where it is a DICOM file: its study is referred to. Made twice of
    the same answers, the resources have the same identities. Raises ValueError for answers of
    several films.
    """
    check_same_film(diagnoses)
    study = _study(source, release)
    entries = [study] if study else []
    for diagnosis in diagnoses:
        observations = [_entry(diagnosis, one) for one in _observations(diagnosis, when)]
        report = _report(diagnosis, when, observations, study, release)
        entries += [_entry(diagnosis, report), *observations]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _instant(when),
        "entry": entries,
    }


def fhir_json(diagnoses: Sequence[Diagnosis], **options: Any) -> bytes:
    """`fhir_bundle` as UTF-8 text."""
    return json.dumps(fhir_bundle(diagnoses, **options), indent=1, ensure_ascii=False).encode()


def _instant(when: datetime) -> str:
    return when.astimezone().isoformat(timespec="seconds")


def _entry(diagnosis: Diagnosis, resource: dict[str, Any]) -> dict[str, Any]:
    what = json.dumps([resource["resourceType"], resource["code"]])
    url = lasting_uuid(answer_mark(diagnosis), what).urn
    return {"fullUrl": url, "resource": resource}


def _own(code: str, meaning: str) -> dict[str, Any]:
    return {"coding": [{"system": OURS, "code": code, "display": meaning}], "text": meaning}


def _snomed(code: str, meaning: str) -> dict[str, Any]:
    return {"coding": [{"system": SNOMED, "code": code, "display": meaning}], "text": meaning}


def _report(
    diagnosis: Diagnosis,
    when: datetime,
    observations: list[dict[str, Any]],
    study: dict[str, Any] | None,
    release: Release,
) -> dict[str, Any]:
    category = {"system": f"{HL7}/v2-0074", "code": "RAD", "display": "Radiology"}
    report = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [{"coding": [category]}],
        "code": _snomed("399208008", "Plain chest X-ray"),
        "issued": _instant(when),
        "result": [{"reference": one["fullUrl"]} for one in observations],
        "conclusion": " ".join([_conclusion(diagnosis), DISCLAIMER]),
    }
    if study:
        report["subject"] = study["resource"]["subject"]
        report["imagingStudy" if release == "R4" else "study"] = [{"reference": study["fullUrl"]}]
    return report


def _conclusion(diagnosis: Diagnosis) -> str:
    if not diagnosis.verdict.may_score:
        reasons = (reason.sentence() for reason in diagnosis.verdict.reasons)
        return " ".join(["No score for this image.", *reasons])
    side = "at or above" if diagnosis.positive else "below"
    return f"COVID score {diagnosis.score:.3f}, {side} the threshold of {diagnosis.threshold:.3f}."


def _observations(diagnosis: Diagnosis, when: datetime) -> list[dict[str, Any]]:
    score = {"code": _own("covid-score", "COVID score, 0 to 1")} | _score(diagnosis)
    area = {
        "code": _own("lung-area", "Lung area as a share of the image"),
        "valueQuantity": _quantity(diagnosis.lung_area_fraction),
    }
    found = [score, area]
    if diagnosis.triage:
        said = _own(diagnosis.triage, triage_names(str)[diagnosis.triage])
        found.append({"code": _own("triage", "Triage"), "valueCodeableConcept": said})
    measures = diagnosis.measures
    if measures and (measures.at or measures.cardiothoracic_ratio):
        found.append({"code": _own("lung-measures", "Measures of the lungs")} | _sizes(measures))
    common = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [
            {"coding": [{"system": f"{HL7}/observation-category", "code": "imaging"}]},
        ],
        "issued": _instant(when),
        "bodySite": _snomed("39607008", "Lung"),
        "device": {
            "identifier": {"system": f"{OURS}.2", "value": diagnosis.weights_sha256},
            "display": f"Pulmoscope {diagnosis.version}, {diagnosis.model}",
        },
    }
    return [common | one for one in found]


def _score(diagnosis: Diagnosis) -> dict[str, Any]:
    """The score with its threshold, or why it is withheld, in codes and in words."""
    if not diagnosis.verdict.may_score:
        reasons = diagnosis.verdict.reasons
        coded = [{"system": OURS, "code": f"withheld-{reason.code}"} for reason in reasons]
        absent = {"system": f"{HL7}/data-absent-reason", "code": "not-performed"}
        text = " ".join(reason.sentence() for reason in reasons)
        return {"dataAbsentReason": {"coding": [absent, *coded], "text": text}}
    code, meaning = ("POS", "Positive") if diagnosis.positive else ("NEG", "Negative")
    system = f"{HL7}/v3-ObservationInterpretation"
    below = "Below this threshold COVID-19 is not suspected"
    return {
        "valueQuantity": _quantity(diagnosis.score),
        "interpretation": [{"coding": [{"system": system, "code": code, "display": meaning}]}],
        "referenceRange": [{"high": _quantity(diagnosis.threshold), "text": below}],
    }


def _sizes(measures: LungMeasures) -> dict[str, Any]:
    """One component each, where it was measured."""
    units = {"area": "cm2", "ratio": "1"}
    components = [
        {
            "code": _own(name.replace("_", "-"), name.replace("_", " ")),
            "valueQuantity": _quantity(value, units.get(name.rpartition("_")[2], "mm")),
        }
        for name, value in measures.as_dict().items()
        if isinstance(value, float)
    ]
    said = f"Lengths hold at the {measures.at}." if measures.at else "The file gives no spacing."
    return {"component": components, "note": [{"text": said}]}


def _quantity(value: float, unit: str = "1") -> dict[str, Any]:
    return {"value": round(value, 6), "unit": unit, "system": UCUM, "code": unit}


def _study(source: bytes | None, release: Release) -> dict[str, Any] | None:
    """The film's study, of one series and one instance, as far as the file says which it is."""
    if source is None:
        return None
    try:
        film = read_source(source)
    except (NotExportable, AttributeError, ValueError, TypeError):  # damaged, or of no study
        return None
    modality: dict[str, Any] = {"system": DCM, "code": str(film.get("Modality", "")) or "OT"}
    instance = {
        "uid": str(film.SOPInstanceUID),
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{film.SOPClassUID}"},
    }
    series = {
        "uid": str(film.SeriesInstanceUID),
        "modality": modality if release == "R4" else {"coding": [modality]},
        "instance": [instance],
    }
    resource = {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": UIDS, "value": f"urn:oid:{film.StudyInstanceUID}"}],
        "status": "available",
        "subject": {"type": "Patient", "display": "The patient of this study"},
        "series": [series],
    }
    return {"fullUrl": lasting_uuid("study", str(film.StudyInstanceUID)).urn, "resource": resource}
