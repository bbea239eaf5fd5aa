"""FHIR of an answer, judged by `fhir.resources`, which knows what R4 and R5 allow."""

import importlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.io.radiograph import read_radiograph
from pipeline.report.fhir import fhir_bundle, fhir_json
from tests.report.test_report import WITHHELD, answer_on
from tests.report.test_report_dicom import source

WHEN = datetime(2026, 3, 9, 14, 5, tzinfo=UTC)
PACKAGES = {"R4": "fhir.resources.R4B", "R5": "fhir.resources"}  # R4B changed none of these


@pytest.fixture(scope="module")
def case(films):
    film, lungs = films["opacities"]
    data = source(film[:500, :420])
    return data, answer_on(read_radiograph(data), lungs[:500, :420])


def validated(bundle: dict, release: str) -> list[dict]:
    """Every resource, each judged by its own class."""
    package = PACKAGES[release]
    importlib.import_module(f"{package}.bundle").Bundle.model_validate(bundle)
    resources = [entry["resource"] for entry in bundle["entry"]]
    for resource in resources:
        kind = resource["resourceType"]
        module = importlib.import_module(f"{package}.{kind.lower()}")
        getattr(module, kind).model_validate(resource)
    return resources


def by_code(resources: list[dict]) -> dict[str, dict]:
    return {r["code"]["coding"][0]["code"]: r for r in resources if "code" in r}


@pytest.mark.parametrize("release", PACKAGES)
def test_a_scored_film_is_valid_and_says_score_triage_and_area(case, release):
    data, diagnosis = case
    bundle = fhir_bundle([diagnosis], when=WHEN, source=data, release=release)
    resources = by_code(validated(bundle, release))
    report, score = resources["399208008"], resources["covid-score"]
    assert report["status"] == score["status"] == "preliminary"
    assert "Not for diagnostic use" in report["conclusion"]
    assert score["valueQuantity"]["value"] == pytest.approx(diagnosis.score, abs=1e-6)
    assert score["interpretation"][0]["coding"][0]["code"] == (
        "POS" if diagnosis.positive else "NEG"
    )
    area = resources["lung-area"]["valueQuantity"]["value"]
    assert area == pytest.approx(diagnosis.lung_area_fraction, abs=1e-6)
    assert ("triage" in resources) is (diagnosis.triage is not None)


@pytest.mark.parametrize("release", PACKAGES)
def test_references_lead_to_entries_and_to_the_study(case, release):
    data, diagnosis = case
    bundle = fhir_bundle([diagnosis], when=WHEN, source=data, release=release)
    there = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(there) == len(bundle["entry"])
    (report,) = (
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "DiagnosticReport"
    )
    study = report["imagingStudy" if release == "R4" else "study"]
    assert {one["reference"] for one in report["result"] + study} < there
    assert "urn:oid:1.2" in {
        entry["resource"]["identifier"][0]["value"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "ImagingStudy"
    }


def test_a_withheld_score_gives_its_reasons_in_code(case):
    withheld = replace(case[1], verdict=WITHHELD)
    resources = by_code(validated(fhir_bundle([withheld], when=WHEN), "R4"))
    score = resources["covid-score"]
    assert "valueQuantity" not in score
    codes = [coding["code"] for coding in score["dataAbsentReason"]["coding"]]
    assert codes == ["not-performed", *(f"withheld-{r.code}" for r in WITHHELD.reasons)]
    assert "No score for this image." in resources["399208008"]["conclusion"]


def test_it_names_nobody_and_is_the_same_twice(case):
    data, diagnosis = case
    text = fhir_json([diagnosis], when=WHEN, source=data).decode()
    for secret in ("Müller", "Zoë", "P9", "A8", "S7", "1950"):
        assert secret not in text
    assert json.loads(text) == json.loads(fhir_json([diagnosis], when=WHEN, source=data))


def test_a_film_that_is_no_dicom_file_refers_to_no_study(case):
    resources = validated(fhir_bundle([case[1]], when=WHEN), "R4")
    assert {r["resourceType"] for r in resources} == {"DiagnosticReport", "Observation"}
    nameless = source(case[1].radiograph.pixels, StudyInstanceUID=None)
    again = validated(fhir_bundle([case[1]], when=WHEN, source=nameless), "R4")
    assert {r["resourceType"] for r in again} == {"DiagnosticReport", "Observation"}
