"""Other hospitals, adults and doubtful labels: which images count where."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.data.database import Film
from pipeline.evaluation.elsewhere import (
    Answered,
    by_patient,
    find_findings,
    judge_elsewhere,
    judge_triage,
)
from pipeline.evaluation.estimates import plain
from pipeline.evaluation.evaluate import evaluate
from pipeline.models.triage import TriageLimits
from tests.drawn import make_database


def answered(*rows) -> Answered:
    """Of rows (label, source, finding, patient, score)."""
    return Answered(
        [Film(Path(f"{i}.png"), label, source) for i, (label, source, *_) in enumerate(rows)],
        [(finding, patient) for _, _, finding, patient, _ in rows],
        np.array([row[-1] for row in rows]),
        np.zeros(len(rows), bool),
    )


ROWS = answered(
    ("COVID", "bimcv", "", "a", 0.9),
    ("COVID", "bimcv", "negative", "b", 0.2),
    ("COVID", "bimcv", "typical", "c", 0.8),
    ("Normal", "rsna", "", "d", 0.1),
    ("Normal", "kermany", "", "e", 0.7),
    ("Viral Pneumonia", "kermany", "", "f", 0.6),
    (None, "siim", "typical", "g", 0.9),
    (None, "siim", "typical", "g", 0.4),
    (None, "siim", "negative", "h", 0.3),
    (None, "siim", "negative", "i", 0.6),
    (None, "siim", "indeterminate", "j", 0.8),
    (None, "siim", "atypical", "j", 0.9),
    (None, "shenzhen", "tuberculosis", "k", 0.7),
    (None, "shenzhen", "negative", "l", 0.2),
    (None, "covid_qu_ex", "", "m", 0.9),
)


def test_every_image_counts_where_it_belongs():
    found = judge_elsewhere(ROWS, 0.5)
    siim = found["siim"]
    assert (siim["n"], siim["patients"]) == (4, 3)
    assert siim["auc"].value == pytest.approx(3 / 4)
    assert siim["sensitivity"].value == siim["specificity"].value == 0.5
    called = {name: (c.value, c.n) for name, c in siim["called_covid"].items()}
    assert called == {
        "atypical": (1, 1),
        "indeterminate": (1, 1),
        "negative": (0.5, 2),
        "typical": (0.5, 2),
    }
    shenzhen = found["shenzhen"]["called_covid"]
    assert {name: c.value for name, c in shenzhen.items()} == {"negative": 0, "tuberculosis": 1}
    adults = found["adults"]
    assert adults["n"] == 4
    assert adults["specificity"].value == 1, "the two images of children are left out"
    assert found["contradictory"]["called_covid"].n == 1
    assert found["contradictory"]["called_covid"].value == 0


def test_blocks_without_images_are_not_there():
    rows = answered(("COVID", "unknown", "", "a", 0.9), ("Normal", "unknown", "", "b", 0.1))
    assert set(judge_elsewhere(rows, 0.5)) == {"adults"}


def test_triage_by_source_leaves_out_what_nobody_knows():
    limits = TriageLimits(0.35, 0.65, 0.05, 0.95, 100)
    groups = judge_triage(ROWS, limits)["groups"]
    assert groups["database"]["wrong"].n == 5
    assert groups["database"]["wrong"].value == pytest.approx(2 / 5)
    assert groups["siim"]["uncertain"].n == 5
    assert "siim/indeterminate" not in groups
    assert groups["shenzhen/tuberculosis"]["wrong_likely"].value == 1
    assert "covid_qu_ex" not in groups
    assert judge_triage(ROWS, None) is None


def test_intervals_by_patient_are_wider_where_patients_have_many_images():
    """Ten copies of each image are no new knowledge."""
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2 == 0
    score = rng.normal(truth, 1.0)
    once = by_patient(truth, score, np.arange(60), 0.5)
    copies = by_patient(*(np.repeat(v, 10) for v in (truth, score, np.arange(60))), 0.5)
    for name in ("auc", "sensitivity", "specificity"):
        assert copies[name].value == pytest.approx(once[name].value)
        assert copies[name].n == 10 * once[name].n
        widths = [e[name].high - e[name].low for e in (once, copies)]
        assert widths[1] == pytest.approx(widths[0], rel=0.2)
        assert once[name].low < once[name].value < once[name].high


@pytest.fixture
def wide(tmp_path, films) -> Path:
    """The database's layout with SIIM-COVID19 and Shenzhen beside it."""
    root = make_database(tmp_path, films, per_class=2)
    pictures = [image[::4, ::4] for image, _ in films.values()]
    for folder in ("siim_covid19/images", "lung_segmentation/shenzhen/images"):
        (root / folder).mkdir(parents=True)
    lines = ["image,patient,label"]
    for i, label in enumerate(("typical", "negative", "indeterminate", "negative")):
        cv2.imwrite(str(root / f"siim_covid19/images/s{i}.png"), pictures[i % len(pictures)])
        lines.append(f"s{i},p{i // 2},{label}")
    (root / "siim_covid19/labels.csv").write_text("\n".join(lines))
    table = root / "siim_covid19/database_films.csv"
    table.write_text("database film,label,patient\nCOVID-0,negative,p9\n")
    for name in ("CHN_1", "CHN_0"):
        path = root / f"lung_segmentation/shenzhen/images/{name}.png"
        cv2.imwrite(str(path), pictures[0])
    return root


def test_findings_come_from_the_tables_of_the_folder(wide):
    images = [
        Film(Path("s2.png"), None, "siim"),
        Film(Path("COVID-0.png"), "COVID", "bimcv"),
        Film(Path("CHN_1.png"), None, "shenzhen"),
        Film(Path("nobody-knows.png"), "Normal", "rsna"),
        Film(Path("COVID-100.png"), "COVID", "sirm"),
    ]
    assert find_findings(images, wide) == [
        ("indeterminate", "p1"),
        ("negative", "p9"),
        ("tuberculosis", "CHN_1"),
        ("", "nobody-knows"),
        ("typical", "d2924"),  # as the split has it
    ]


@pytest.mark.slow
def test_evaluation_of_everything_in_one_go(wide):
    result = evaluate(wide)
    assert result["n"] == 8, "the top-level figures are of the database's images"
    siim = result["elsewhere"]["siim"]
    assert (siim["n"], siim["patients"]) == (3, 2)
    assert {name: c.n for name, c in siim["called_covid"].items()} == {
        "indeterminate": 1,
        "negative": 2,
        "typical": 1,
    }
    assert set(result["elsewhere"]["shenzhen"]["called_covid"]) == {"negative", "tuberculosis"}
    assert result["elsewhere"]["contradictory"]["called_covid"].n == 1
    assert set(result["segmentation_by_set"]) == set()
    assert json.loads(json.dumps(plain(result))) == plain(result)
