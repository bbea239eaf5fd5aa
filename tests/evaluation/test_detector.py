"""Fitting the gate's detector, and holding out whole sources."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.data.gate_examples import RADIOGRAPH
from pipeline.data.negatives import Picture
from pipeline.evaluation import detector
from pipeline.evaluation.detector import Examples, fit, held_out, may_fit, measure_detector
from pipeline.quality.gate import WHOLE
from pipeline.quality.limits import open_gate

SIZE = 36
SETS = (
    ("radiographs train", RADIOGRAPH, ("bimcv", "siim", "bimcv, copy"), 150),
    ("radiographs validation", RADIOGRAPH, ("bimcv", "siim", "bimcv, copy"), 60),
    ("radiographs test", RADIOGRAPH, ("bimcv", "siim", "bimcv, copy"), 60),
    ("spoilt train", "inverted", ("made",), 40),
    ("spoilt test", "inverted", ("made",), 20),
    ("mednist", "CT", ("MedNIST ChestCT",), 60),
    ("packages", "MR", ("shoulder", "brain, ch2"), 60),
    ("drawn CT", "drawn CT", ("axial", "coronal"), 60),
    ("drawn pictures", "noise", ("grains",), 20),
)


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Contexts in which whatever is no radiograph lies apart, in a direction of its own kind."""
    rng = np.random.default_rng(0)
    rows = []
    for number, (name, kind, groups, count) in enumerate(SETS):
        for index in range(count):
            apart = np.zeros(SIZE)
            if kind != RADIOGRAPH:
                apart[:4] = 3
                apart[4 + number] = 3
            context = rng.normal(0, 1, SIZE) + apart
            model = ("light", "xception")[index % 2]
            rows.append((context, kind, groups[index % len(groups)], name, model, index % 4 > 0))
    return Examples(*(np.array(column) for column in zip(*rows, strict=True)))


def test_images_of_other_parts_and_measured_pictures_do_not_fit(examples, monkeypatch, tmp_path):
    measured = [Picture("MR", "brain, ch2", np.zeros((64, 64), np.float32))]
    monkeypatch.setattr(detector, "collect", lambda _: ([], []))
    monkeypatch.setattr(detector, "draw_pictures", list)
    monkeypatch.setattr(detector, "deal", lambda _: ([], measured))
    chosen = examples[may_fit(examples, tmp_path)]
    assert {name for name in chosen.set if name.startswith(("radiographs", "spoilt"))} == {
        "radiographs train",
        "spoilt train",
    }
    assert {g for g, kind in zip(chosen.group, chosen.kind, strict=True) if kind == "MR"} == {
        "shoulder"
    }


def test_limits_let_validation_radiographs_pass(examples):
    _, limits = fit(examples, np.char.endswith(examples.set, "train") | (examples.kind == "CT"))
    assert set(limits) == set(WHOLE)


def test_every_source_is_held_out_and_counted(examples):
    result = held_out(examples)
    radiographs, others = result["radiographs"], result["others"]
    assert set(radiographs) == {"bimcv", "siim", "bimcv, copy"}
    for group, row in radiographs.items():
        unseen = np.isin(examples.set, detector.UNSEEN) & (examples.group == group)
        assert row["passed"].n == unseen.sum()
        assert row["detector"].value > 0.8
        assert row["passed"].value <= min(row["detector"].value, row["mask"].value)
    assert set(others["packages"]) == {"MR"}
    assert set(others["every CT"]) == {"CT: MedNIST ChestCT"} | {
        f"drawn CT: {group}" for group in ("axial", "coronal")
    }
    for rows in others.values():
        for row in rows.values():
            assert row["detector"].value < 0.2
            assert row["mask"].value >= 0.5


def test_the_test_part_is_measured_by_collection_and_model(examples):
    found, limits = fit(examples, np.char.endswith(examples.set, "train") | (examples.kind == "CT"))
    rows = measure_detector(examples, found, limits)
    assert set(rows) == {
        f"{name}, {model}"
        for name in ("database", "siim", "copies", "inverted")
        for model in ("light", "xception")
    }


def test_contexts_are_computed_once(tmp_path):
    asked = []

    def look(pixels):
        asked.append(len(pixels))
        return np.zeros((len(pixels), 8, 8), np.float32), pixels.reshape(len(pixels), -1)[:, :5]

    sha256 = SimpleNamespace(sha256="0" * 64)
    predictor = SimpleNamespace(
        look=look, gate=open_gate(), entry=SimpleNamespace(name="light"), unet_entry=sha256
    )
    shapes = [(64, 64)] * 20 + [(80, 64)] * 3
    pictures = [
        Picture("MR", f"group {n}", np.full(shape, n, np.float32)) for n, shape in enumerate(shapes)
    ]
    first = detector._kept(tmp_path, "packages", predictor, iter(pictures))
    again = detector._kept(tmp_path, "packages", predictor, iter(()))
    assert asked == [16, 4, 3]
    for one in (first, again):
        np.testing.assert_array_equal(one.contexts[:, 0], np.arange(23))
        assert list(one.group) == [picture.group for picture in pictures]
        assert set(one.set) == {"packages"}
