"""A card of one's own hospital: what it says, that it is used, and that it cannot be altered."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.data.database import Film
from pipeline.evaluation import site
from pipeline.evaluation.evaluate import Scored
from pipeline.inference.diagnose import diagnose
from pipeline.models import registry
from pipeline.models.registry import WeightsError
from pipeline.models.site import content_sha256, decisions_of, site_card
from pipeline.report.site_card import site_rows
from tests.conftest import radiograph_of


@pytest.fixture
def folder(tmp_path):
    """Forty local images of either kind, some of them blank."""
    for name, count in (("positive", 42), ("negative", 41)):
        (tmp_path / "local" / name).mkdir(parents=True)
        for i in range(count):
            grey = np.full((8, 8), i + 100 * (name == "positive"), np.uint8)
            cv2.imwrite(str(tmp_path / "local" / name / f"{i}.png"), grey)
    return tmp_path / "local"


@pytest.fixture
def scored(monkeypatch):
    """A model whose scores follow the labels, with an error now and then; the last is withheld."""

    def score_images(images, predictor, unreadable):
        rng = np.random.default_rng(0)
        for image in images:
            odds = rng.normal(2.0 if image.label == "COVID" else -2.0, 1) - 1
            reasons = ("blank",) if image.path.stem in {"40", "41"} else ()
            yield Scored(image, 1 / (1 + np.exp(-odds)), None, reasons, None)

    monkeypatch.setattr(site, "score_images", score_images)


@pytest.fixture
def card(folder, scored, tmp_path, monkeypatch):
    path = tmp_path / "card.json"
    command = ["evaluate", "--data", str(folder), "--site", "St. Elsewhere", "--json", str(path)]
    assert main(command) == 0
    monkeypatch.setenv("PULMOSCOPE_SITE", str(path))
    return path


@pytest.mark.slow
def test_the_card_says_what_was_measured(card, folder):
    record = json.loads(card.read_text())
    assert (record["n"], record["positive"]) == (80, 40)
    assert record["withheld"]["value"] == pytest.approx(3 / 83)
    assert record["auc"]["value"] > 0.95
    odds = np.log(record["threshold"] / (1 - record["threshold"]))
    assert odds == pytest.approx(-1, abs=1), "these scores are shifted, and so is the threshold"
    assert record["cross_validated"]["sensitivity"]["value"] > 0.85
    assert record["triage"]["n"] == 80
    assert card.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    text = card.read_text()
    assert "0.png" not in text
    assert str(folder) not in text
    rows = dict(site_rows(record, str, "en"))
    assert rows["Hospital"] == "St. Elsewhere"
    assert rows["Images (positive)"] == "80 (40)"


@pytest.mark.slow
def test_the_card_decides(card, films, predictor):
    record = json.loads(card.read_text())
    own = predictor.entry
    assert decisions_of(own)[0] == record["threshold"] != own.threshold
    diagnosis = diagnose(radiograph_of(films["clear"][0]), predictor)
    assert diagnosis.threshold == record["threshold"]
    assert diagnosis.triage == site_card().triage.answer(diagnosis.score)
    assert diagnose(radiograph_of(films["clear"][0]), predictor, threshold=0.9).threshold == 0.9


@pytest.mark.slow
def test_a_card_of_other_weights_is_not_used(card):
    own = replace(registry.entry("light"), sha256="0" * 64)
    assert decisions_of(own) == (own.threshold, own.triage)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"threshold": 0.01}, {"n": 1000}, {"site": "elsewhere"}])
def test_an_altered_card_is_refused(card, change):
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(WeightsError, match=r"card\.json is missing or was changed"):
        site_card()


def test_what_is_no_card_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "card.json"
    monkeypatch.setenv("PULMOSCOPE_SITE", str(path))
    for text in (None, "[", "[]", "{}", json.dumps({"sha256": content_sha256({})})):
        if text:
            path.write_text(text)
        with pytest.raises(WeightsError):
            site_card()
    monkeypatch.setenv("PULMOSCOPE_SITE", "")
    assert site_card() is None


def test_a_table_of_labels(tmp_path):
    (tmp_path / "list.csv").write_text("file,label\na.png,positive\nsub/b.dcm,0\n")
    assert site.read_labelled(tmp_path) == [
        Film(tmp_path / "a.png", "COVID", "site"),
        Film(tmp_path / "sub/b.dcm", "other", "site"),
    ]
    (tmp_path / "list.csv").write_text("file,label\na.png,maybe\n")
    with pytest.raises(ValueError, match="'maybe'"):
        site.read_labelled(tmp_path)
    (tmp_path / "list.csv").write_text("name,label\na.png,1\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        site.read_labelled(tmp_path)
    (tmp_path / "list.csv").unlink()
    with pytest.raises(ValueError, match="no labelled image"):
        site.read_labelled(tmp_path)


def test_too_few_images_are_refused(folder, scored):
    for path in sorted((folder / "positive").iterdir())[19:]:
        path.unlink()
    with pytest.raises(ValueError, match="needs at least 20"):
        site.judge_site(folder, "light", "x")


def test_cross_validation_is_no_kinder_than_the_data():
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2 == 0
    found = site.cross_validate(truth, rng.random(200))
    assert 0.35 < found["sensitivity"].value < 0.65
    assert 0.35 < found["specificity"].value < 0.65
