"""What leaves the program: the page, the record. Nothing here runs a model."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pypdf import PdfReader

from app.session import cases
from app.session.language import catalogue
from pipeline.inference.diagnosis import Answer, Diagnosis
from pipeline.inference.stability import Stability
from pipeline.io.radiograph import Radiograph
from pipeline.models import registry
from pipeline.models.triage import TriageLimits
from pipeline.quality.gate import REASONS, Verdict
from pipeline.release import measurements
from pipeline.report import operating_point as points
from pipeline.report.file_name import file_name
from pipeline.report.pdf import IDENTITY_LENGTH, NO_LETTER, case_pdf
from pipeline.report.record import case_json, case_record
from pipeline.report.wording import Wording
from pipeline.text import formatting
from pipeline.text.messages import Message

WHEN = datetime(2026, 3, 9, 14, 5, tzinfo=UTC)
WITHHELD = Verdict((Message("lung_area", {"value": "3%", "low": "4%", "high": "49%"}),))


@pytest.fixture(scope="module")
def diagnosis(films) -> Diagnosis:
    """An answer on a synthetic film, made of its exact mask and of features drawn at random."""
    film, lungs = films["clear"]
    return answer_on(Radiograph(film.astype(np.float32), "c0ffee" * 10 + "beef", "PNG"), lungs)


def answer_on(radiograph: Radiograph, lungs: np.ndarray, score: float = 0.8671) -> Diagnosis:
    entry, unet = registry.entry("light"), registry.entry("unet")
    rng = np.random.default_rng(0)
    probability = lungs.astype(np.float32) / 255
    features, gradient = rng.random((2, 32, 32, 4), np.float32)
    answer = Answer(
        mask_probability=probability,
        mask=probability.round(),
        masked_film=probability,
        equalised_film=probability,
        features=features,
        probabilities=np.array([score, 1 - score], np.float32),
        gradient=gradient,
    )
    return Diagnosis(
        radiograph=radiograph,
        answer=answer,
        verdict=Verdict(),
        model="light",
        weights_sha256=entry.sha256,
        unet_sha256=unet.sha256,
        threshold=entry.threshold,
        geometry=(8, 4, 256),
        covid=0,
        cam="hirescam",
        cam_scale={"hirescam": 2.0},
        seconds=0.1,
    )


def other_model(diagnosis: Diagnosis) -> Diagnosis:
    """The same answer under another name and on another scale, so that its heatmap differs."""
    scale = {"hirescam": 1.0}
    return replace(diagnosis, model="xception", weights_sha256="ab" * 32, cam_scale=scale)


def french(text: str) -> str:
    return catalogue("fr").get(text, text)


def page_text(pdf: bytes) -> str:
    """Text of the only page; line breaks and narrow spaces become plain spaces."""
    reader = PdfReader(io.BytesIO(pdf))
    assert len(reader.pages) == 1
    width, height = reader.pages[0].mediabox[2:]
    assert (round(width * 25.4 / 72), round(height * 25.4 / 72)) == (210, 297)
    return re.sub(r"[\s\u00a0\u202f]+", " ", reader.pages[0].extract_text())


# -- the page ---------------------------------------------------------------------------------


def test_three_answers_in_every_form(diagnosis):
    """Triage stands on page and record, with its promise; where there is none, nowhere."""
    limits = TriageLimits(0.2, 0.8, 0.05, 0.95, 400)
    said = replace(diagnosis, triage_limits=limits)
    text = page_text(case_pdf([said], str, "en", when=WHEN))
    assert "Triage COVID-19 likely" in text
    assert "at most 5% of these answers are wrong (with 95% confidence)" in text
    assert case_record([said], when=WHEN)["answers"][0]["triage"] == "likely"
    translated = page_text(case_pdf([said], french, "fr", when=WHEN))
    assert "Tri COVID-19 probable" in translated
    withheld = replace(said, verdict=WITHHELD)
    for none in (diagnosis, withheld):
        assert case_record([none], when=WHEN)["answers"][0]["triage"] is None
        assert "Triage" not in page_text(case_pdf([none], str, "en", when=WHEN))


def test_page_of_one_model(diagnosis):
    pdf = case_pdf([diagnosis], str, "en", when=WHEN)
    text = page_text(pdf)
    scores = measurements.scores_on_test_films("light")
    for expected in (
        "0.867",
        formatting.number(diagnosis.threshold, "en", 3),
        formatting.percent(scores["sensitivity"]["low"], "en", 1),
        formatting.percent(scores["specificity"]["high"], "en", 1),
        formatting.percent(diagnosis.lung_area_fraction, "en", 1),
        "COVID-19 suspected",
        "Passed: two lungs",
        "March 9, 2026, 14:05 UTC+00:00",
        f"Pulmoscope {diagnosis.version}",
        diagnosis.radiograph.sha256,
        diagnosis.weights_sha256,
        diagnosis.unet_sha256,
        "PNG, 512 × 512 pixels, 8 bits",
        "it is not the probability that this patient has COVID-19",
    ):
        assert expected in text, expected
    assert text.count("Not for diagnostic use") == 2
    assert "Synthetic" not in text
    assert "Patient label" not in text
    assert len(PdfReader(io.BytesIO(pdf)).pages[0].images) == 3


def test_page_of_two_models_in_french(diagnosis):
    pdf = case_pdf([diagnosis, other_model(diagnosis)], french, "fr", when=WHEN, synthetic=True)
    text = page_text(pdf)
    for expected in (
        "0,867",
        "CNN léger",
        "Xception",
        "Résultat",
        "COVID-19 suspecté",
        "Cliché de synthèse",
        "9 mars 2026, 14:05",
        "non mesurée avec ces poids à ce seuil",
        "Ne pas utiliser à des fins diagnostiques",
        "ab" * 32,
    ):
        assert expected in text, expected
    assert not re.search(r"\d\.\d{3}\b", text.replace(diagnosis.version, ""))
    assert len(PdfReader(io.BytesIO(pdf)).pages[0].images) == 4
    assert PdfReader(io.BytesIO(pdf)).root_object["/Lang"] == "fr"


def test_a_withheld_score_is_not_printed(diagnosis):
    withheld = replace(diagnosis, verdict=WITHHELD)
    pdf = case_pdf([withheld], french, "fr", when=WHEN)
    text = page_text(pdf)
    assert "Le masque des poumons couvre 3 % du cliché" in text
    assert "Pas de score pour ce cliché" in text
    for secret in ("0,867", "0,86", "0,87", "suspecté", "Sensibilité sur les clichés de test 8"):
        assert secret not in text
    assert len(PdfReader(io.BytesIO(pdf)).pages[0].images) == 2  # no heatmap either


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_longest_case_stays_on_one_page(diagnosis, language):
    values = {"value": "93%", "low": "4%", "high": "49%"}
    reasons = (
        Message("not_frontal", {"projection": "LATERAL"}),
        Message("not_chest", {"body_part": "EXTREMITY"}),
        Message("inverted"),
        *(Message(code, values) for code in REASONS.values()),
    )
    long = replace(diagnosis, verdict=Verdict(reasons))
    translate = french if language == "fr" else str
    identity = "W" * IDENTITY_LENGTH
    pdf = case_pdf(
        [long, other_model(long)], translate, language, when=WHEN, identity=identity, synthetic=True
    )
    text = page_text(pdf).replace(" ", "")
    assert identity in text
    assert "EXTREMITY" in text


def test_identity_is_what_was_typed(diagnosis):
    pdf = case_pdf([diagnosis], str, "en", when=WHEN, identity=" Łukasz\n Θωμάς ")
    assert "Łukasz Θωμάς" in page_text(pdf)
    with pytest.raises(ValueError, match="at most 120"):
        case_pdf([diagnosis], str, "en", when=WHEN, identity="x" * 121)


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["山田 太郎 Yamada", "홍길동", "สมชาย", "محمد", "שרה"])
def test_letters_that_cannot_be_printed_are_said(diagnosis, typed):
    text = page_text(case_pdf([diagnosis], str, "en", when=WHEN, identity=typed))
    assert "letters that this page cannot print" in text
    assert NO_LETTER * 2 in text
    assert ("Yamada" in typed) == ("Yamada" in text)


def test_fonts_are_embedded(diagnosis):
    """So that the page looks and prints the same everywhere (as PDF/A asks for)."""
    reader = PdfReader(io.BytesIO(case_pdf([diagnosis], str, "en", when=WHEN, identity="Łukasz")))
    fonts = reader.pages[0]["/Resources"]["/Font"].values()
    assert len(fonts) == 3
    for font in fonts:
        (descendant,) = font.get_object()["/DescendantFonts"]
        assert "/FontFile2" in descendant.get_object()["/FontDescriptor"].get_object()
    assert reader.metadata.title == "Automatic reading of a chest radiograph"


def test_a_case_is_one_film(diagnosis):
    other = replace(diagnosis, radiograph=replace(diagnosis.radiograph, sha256="00"), model="b")
    for wrong in ([], [diagnosis, other], [diagnosis, diagnosis]):
        with pytest.raises(ValueError, match="a case is one film"):
            case_pdf(wrong, str, "en", when=WHEN)
        with pytest.raises(ValueError, match="a case is one film"):
            case_record(wrong, when=WHEN)


@pytest.mark.parametrize("shape", [(64, 900), (900, 64)])
def test_odd_shapes_have_a_page(diagnosis, shape):
    film = replace(diagnosis.radiograph, pixels=np.full(shape, 99, np.float32))
    page_text(case_pdf([replace(diagnosis, radiograph=film)], str, "en", when=WHEN))


# -- the operating point ----------------------------------------------------------------------


def test_scores_need_the_weights_and_the_threshold(diagnosis):
    found = points.operating_point(diagnosis)
    assert found["sensitivity"] == measurements.scores_on_test_films("light")["sensitivity"]
    assert points.operating_point(replace(diagnosis, weights_sha256="0" * 64)) is None
    assert points.operating_point(replace(diagnosis, unet_sha256="0" * 64)) is None
    assert points.operating_point(replace(diagnosis, threshold=0.1234)) is None


def test_named_and_counted_operating_points(diagnosis, monkeypatch):
    scores = measurements.scores_on_test_films("light")
    screening = {key: scores[key] for key in ("sensitivity", "specificity")} | {"threshold": 0.2}
    counts = {"threshold": [0.3, 0.4], "tp": [9, 8], "fn": [1, 2], "fp": [4, 0], "tn": [0, 4]}
    # A new record: the one that was read is shared by whatever reads the file next.
    scores = scores | {"operating_points": {"screening": screening}}
    scores["curves"] = {"confusion": counts}
    monkeypatch.setattr(points, "scores_on_test_films", lambda model: scores)
    named = replace(diagnosis, threshold=0.2)
    assert points.operating_point(named)["name"] == "screening"
    assert "0.200 (screening)" in page_text(case_pdf([named], str, "en", when=WHEN))
    counted = points.operating_point(replace(diagnosis, threshold=0.4))
    assert (counted["sensitivity"]["value"], counted["sensitivity"]["n"]) == (0.8, 10)
    assert counted["specificity"]["value"] == 1
    assert 0 < counted["specificity"]["low"] < 1


# -- repaired films ---------------------------------------------------------------------------


def test_repairs_and_remarks_are_named(diagnosis):
    film = replace(
        diagnosis.radiograph,
        repairs=("inverted", "turned_left", "mirrored"),
        notes=(Message("pages", {"count": 2}),),
    )
    repaired = replace(diagnosis, radiograph=film)
    text = page_text(case_pdf([repaired], str, "en", when=WHEN))
    assert "inverted before reading, rotated before reading, mirrored before reading" in text
    assert "The file has 2 pages: only the first was read." in text
    assert film.sha256 in text
    record = case_record([repaired], when=WHEN)["film"]
    assert record["sha256"] == diagnosis.radiograph.sha256
    assert record["repairs"] == ["inverted", "turned_left", "mirrored"]
    assert record["notes"] == ["The file has 2 pages: only the first was read."]


def test_the_shares_of_four_classes_are_printed_and_withheld_with_the_score(diagnosis):
    light, xception = diagnosis, other_model(diagnosis)
    shares = np.array([0.5, 0.25, 0.2, 0.05], np.float32)
    four = replace(xception, answer=replace(xception.answer, class_probabilities=shares))
    (row,) = [row for row in Wording(str, "en").table([light, four]) if "classes" in row[0]]
    assert row[1:] == ["–", "COVID-19 50%, Normal 25%, Lung opacity 20%, Viral pneumonia 5%"]
    assert four.as_dict()["class_shares"]["Lung_Opacity"] == pytest.approx(0.2)
    refused = replace(four.verdict, reasons=(Message("inverted"),))
    assert replace(four, verdict=refused).class_shares is None


@pytest.mark.slow
@pytest.mark.parametrize("name", cases.EXAMPLES)
def test_an_example_has_no_repairs(name):
    film = cases.example(name).radiograph
    assert (film.key, film.repairs, film.notes) == (film.sha256, (), ())


def test_the_table_says_how_stable_the_answers_are(diagnosis):
    stability = Stability(0.87, {"mirrored": 0.12, "blurred": 0.9})
    known = replace(diagnosis, threshold=0.5, stability=stability)
    (row,) = [row for row in Wording(str, "en").table([known, diagnosis]) if row[0] == "Stability"]
    assert "from 0.12 to 0.90; the answer changes in 1 of 2" in row[1]
    assert row[2] == "–"
    assert all(row[0] != "Stability" for row in Wording(str, "en").table([diagnosis]))


def test_a_file_is_called_after_the_radiograph(diagnosis):
    assert file_name("CASE.dcm", [diagnosis], WHEN, "pdf") == "CASE_light_2026-03-09.pdf"
    both = [diagnosis, other_model(diagnosis)]
    assert file_name("a/b.c.PNG", both, WHEN, "json") == "b.c_light+xception_2026-03-09.json"
    odd = file_name('..\\x<y>"\n' + "é" * 300 + ".tiff", [diagnosis], WHEN, "pdf")
    assert odd == "x_y___" + "é" * 74 + "_light_2026-03-09.pdf"
    assert file_name("...", [diagnosis], WHEN, "pdf") == "radiograph_light_2026-03-09.pdf"


# -- the record -------------------------------------------------------------------------------


def test_record(diagnosis):
    withheld = replace(other_model(diagnosis), verdict=WITHHELD)
    record = json.loads(case_json([diagnosis, withheld], when=WHEN, synthetic=True))
    assert record["created"] == "2026-03-09T14:05:00+00:00"
    assert record["film"]["sha256"] == diagnosis.radiograph.sha256
    assert record["film"]["synthetic"] is True
    light, xception = record["answers"]
    assert diagnosis.as_dict().items() <= light.items()
    assert light["on_test_films"]["specificity"]["n"] > 0
    assert xception["covid_probability"] is None
    assert xception["on_test_films"] is None
    assert xception["sentences"][0].startswith("The lung mask covers 3%")
    assert "0.867" not in json.dumps(xception)
