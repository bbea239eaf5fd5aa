"""Whether a report's answer is what the film gives: recomputed from the film, said line by line.

A report is a PDF with its record attached, the record itself (JSON), or the structured report (SR).
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pydicom
import pypdf

from pipeline.inference.diagnose import diagnose
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import repaired
from pipeline.io.radiograph import Radiograph, read_radiograph
from pipeline.report.coding import SCHEME
from pipeline.report.pdf import RECORD

TOLERANCE = 0.001  # processors add in other orders
NUMBERS = ("covid_probability", "lung_area_fraction")


@dataclass(frozen=True)
class Claim:
    """What a report says of one film by one model: fields as in `Diagnosis.as_dict`.

    What the report does not say is not among ``fields``.
    """

    sha256: str
    repairs: tuple[str, ...]
    fields: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One thing that was compared. ``agrees`` is None where it could not be."""

    what: str
    said: Any
    found: Any
    agrees: bool | None


def verify(report: bytes, film: bytes, load: Callable[[str], Any]) -> list[Line]:
    """Compare a report with a film. ``load``: a model's name to its `Predictor`.

    Raises ValueError for what is no report, UnreadableRadiograph for what is no film.
    """
    claims = read_claims(report)
    given = hashlib.sha256(film).hexdigest()
    lines = [Line("sha256 of the file", claims[0].sha256, given, claims[0].sha256 == given)]
    if not lines[0].agrees:
        return lines
    for claim in claims:
        lines += _compare(claim, film, load)
    return lines


def _compare(claim: Claim, film: bytes, load: Callable[[str], Any]) -> Iterator[Line]:
    name = claim.fields["model"]
    predictor = load(name)
    weights = {
        "weights_sha256": predictor.entry.sha256,
        "unet_sha256": predictor.unet_entry.sha256,
    }
    for key, found in weights.items():
        yield Line(f"{name}: {key}", claim.fields.get(key), found, claim.fields.get(key) == found)
    if any(claim.fields.get(key) != found for key, found in weights.items()):
        yield Line(f"{name}: answer", "of other weights", "not computed", None)
        return
    answer = diagnose(_as_read(claim, film), predictor, threshold=claim.fields.get("threshold"))
    yield from _answers(name, claim.fields, answer)


def _answers(name: str, fields: dict[str, Any], answer: Diagnosis) -> Iterator[Line]:
    computed = answer.as_dict()
    for key in ("status", "positive", "triage", "reasons", *NUMBERS):
        if key not in fields:
            continue
        said, found = fields[key], computed[key]
        if key in NUMBERS and None not in (said, found):
            agrees = abs(float(said) - float(found)) <= TOLERANCE
        else:
            agrees = said == found
        yield Line(f"{name}: {key}", said, found, agrees)


def _as_read(claim: Claim, film: bytes) -> Radiograph:
    """The film as it was when it was answered: with what a reader had set right."""
    radiograph = read_radiograph(film)
    own = radiograph.repairs
    if claim.repairs[: len(own)] != own:
        return radiograph
    more = claim.repairs[len(own) :]
    return replace(radiograph, pixels=repaired(radiograph.pixels, more), repairs=claim.repairs)


def read_claims(report: bytes) -> list[Claim]:
    """What a report says, one claim per model. Raises ValueError for what is none of ours."""
    try:
        if report.startswith(b"%PDF"):
            attached = pypdf.PdfReader(io.BytesIO(report)).attachments
            claims = _of_record(attached[RECORD][0])
        elif report[128:132] == b"DICM":
            claims = [_of_report(pydicom.dcmread(io.BytesIO(report)))]
        else:
            claims = _of_record(report)
    except Exception:  # whatever a damaged or foreign file makes of its reader
        claims = []
    if not claims:
        raise ValueError(
            "this is no report of Pulmoscope: give its PDF (with its record attached), its JSON or "
            "its structured report (score.sr.dcm)."
        )
    return claims


def _of_record(text: bytes) -> list[Claim]:
    record = json.loads(text)
    film = record["film"]
    return [
        Claim(str(film["sha256"]), tuple(film["repairs"]), dict(answer))
        for answer in record["answers"]
    ]


def _of_report(report: pydicom.Dataset) -> Claim:
    """From the algorithm's parameters and our own codes (`pipeline.report.dicom.score_report`)."""
    parameters: dict[str, str] = {}
    fields: dict[str, Any] = {}
    reasons: list[str] = []
    for item in _items(report):
        name = item.ConceptNameCodeSequence[0] if "ConceptNameCodeSequence" in item else None
        code = (name.CodingSchemeDesignator, name.get("CodeValue")) if name else None
        if code == ("DCM", "111002") and "=" in item.get("TextValue", ""):  # Algorithm Parameters
            key, _, value = item.TextValue.partition("=")
            parameters.setdefault(key, value)
        elif code == ("DCM", "111001"):  # Algorithm Name
            fields.setdefault("model", item.TextValue.removeprefix("Pulmoscope "))
        elif code and code[0] == SCHEME:
            _take(fields, reasons, str(code[1]), item)
    fields |= {"reasons": reasons, "weights_sha256": parameters["weights_sha256"]}
    fields["unet_sha256"] = parameters["unet_sha256"]
    fields.setdefault("covid_probability", None)
    repairs = tuple(filter(None, parameters.get("film_repairs", "").split("+")))
    return Claim(parameters["film_sha256"], repairs, fields)


def _take(fields: dict[str, Any], reasons: list[str], code: str, item: pydicom.Dataset) -> None:
    numbers = {
        "covid-score": "covid_probability",
        "threshold": "threshold",
        "lung-area": "lung_area_fraction",
    }
    if code in numbers and item.ValueType == "NUM":
        fields.setdefault(numbers[code], float(item.MeasuredValueSequence[0].NumericValue))
    elif item.ValueType == "CODE":
        value = item.ConceptCodeSequence[0].CodeValue
        if code == "result":
            fields["status"] = "abstained" if value == "withheld" else "ok"
            fields["positive"] = {"at-or-above": True, "below": False}.get(value)
        elif code == "triage":
            fields["triage"] = value
        elif code == "reason":
            reasons.append(value)


def _items(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Every content item, in the order of the document."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)
