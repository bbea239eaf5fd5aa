"""A report recomputed from its film: what agrees, and what is noticed."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.cli.main import main
from pipeline.inference.diagnose import diagnose
from pipeline.io.orientation import repaired
from pipeline.io.radiograph import read_radiograph
from pipeline.report.dicom.objects import dicom_objects
from pipeline.report.pdf import case_pdf
from pipeline.report.record import case_json
from pipeline.report.verify import verify
from tests.report.test_report_dicom import source

WHEN = datetime(2026, 3, 9, 14, 5, tzinfo=UTC)
MAKERS = {
    "pdf": lambda film, answer: case_pdf([answer], str, "en", when=WHEN, identity="Doe"),
    "json": lambda film, answer: case_json([answer], when=WHEN),
    "sr": lambda film, answer: dicom_objects(film, answer)["score.sr.dcm"],
}


@pytest.fixture(scope="module")
def film(films) -> bytes:
    return source(films["clear"][0])


@pytest.fixture(scope="module")
def answer(film, predictor):
    return diagnose(read_radiograph(film), predictor)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_a_report_says_agrees_with_its_film(film, answer, predictor, kind):
    lines = verify(MAKERS[kind](film, answer), film, lambda name: predictor)
    assert [line for line in lines if not line.agrees] == []
    told = {line.what.removeprefix("light: ") for line in lines}
    assert {"sha256 of the file", "covid_probability", "lung_area_fraction", "status"} <= told


@pytest.mark.parametrize("kind", MAKERS)
def test_a_withheld_score_and_a_repair_are_checked_too(films, predictor, kind):
    film = source(255 - films["clear"][0])
    read = read_radiograph(film)
    withheld = diagnose(read, predictor)
    assert withheld.covid_probability is None
    right = replace(read, pixels=repaired(read.pixels, ("inverted",)), repairs=("inverted",))
    for one in (withheld, diagnose(right, predictor)):
        lines = verify(MAKERS[kind](film, one), film, lambda name: predictor)
        assert [line for line in lines if not line.agrees] == []


def test_another_film_a_changed_score_and_other_weights_are_noticed(film, answer, predictor):
    record = json.loads(case_json([answer], when=WHEN))
    other = verify(json.dumps(record).encode(), film + b"\0\0", lambda name: predictor)
    assert [line.agrees for line in other] == [False]
    record["answers"][0]["covid_probability"] += 0.01
    lines = verify(json.dumps(record).encode(), film, lambda name: predictor)
    assert [line.what for line in lines if not line.agrees] == ["light: covid_probability"]
    record["answers"][0]["weights_sha256"] = "0" * 64
    lines = verify(json.dumps(record).encode(), film, lambda name: predictor)
    assert [line.agrees for line in lines] == [True, False, True, None]


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4", b"{}", b"\0" * 128 + b"DICM", b"[" * 9999])
def test_what_is_no_report_is_said(content, film):
    with pytest.raises(ValueError, match="this is no report of Pulmoscope"):
        verify(content, film, lambda name: None)


def test_the_command_line_says_it_and_returns_it(film, answer, tmp_path, capfd):
    (tmp_path / "film.dcm").write_bytes(film)
    (tmp_path / "report.json").write_bytes(case_json([answer], when=WHEN))
    assert main(["verify", str(tmp_path / "report.json"), str(tmp_path / "film.dcm")]) == 0
    assert "agrees: light: covid_probability" in capfd.readouterr().out
    (tmp_path / "film.dcm").write_bytes(film + b"\0\0")
    assert main(["verify", str(tmp_path / "report.json"), str(tmp_path / "film.dcm")]) == 1
    assert "DIFFERS: sha256 of the file" in capfd.readouterr().out
