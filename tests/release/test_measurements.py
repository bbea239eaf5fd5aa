"""What judges heatmaps and lungs, on images whose answer is known."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pipeline.evaluation import ablation, heatmaps, robustness
from pipeline.evaluation.ensemble import compare_answers
from pipeline.evaluation.estimates import Estimate, against_unchanged
from pipeline.inference.diagnosis import Answer
from pipeline.models.spec import ARCHITECTURES
from tests.drawn import make_database

SIZE = 64


def answer_with(mask: np.ndarray, image: np.ndarray) -> Answer:
    features = np.ones((4, 4, 1), np.float32)
    return Answer(mask, mask, image * mask, image * mask, features, np.array([0.9, 0.1]), features)


class ReadsOneCorner:
    """A classifier whose score is the mean of the upper left quarter."""

    entry = SimpleNamespace(name="fake", input_size=SIZE, threshold=0.5)
    architecture = ARCHITECTURES["light"]

    def classify(self, films: np.ndarray) -> np.ndarray:
        return films[:, : SIZE // 2, : SIZE // 2].mean((1, 2))


def test_a_true_map_beats_a_false_one():
    mask = np.ones((SIZE, SIZE), np.float32)
    image = np.zeros((SIZE, SIZE), np.float32)
    image[: SIZE // 2, : SIZE // 2] = 1
    answer = answer_with(mask, image)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    true = (rows < SIZE // 2) * (columns < SIZE // 2) * 1.0
    deleted, inserted = {}, {}
    for name, heat in (("true", true), ("false", 1 - true)):
        curves = heatmaps._deleted_and_inserted(answer, heat, ReadsOneCorner(), seed=0)
        assert curves.shape == (2, heatmaps.STEPS + 1)
        np.testing.assert_allclose(curves[0, 0], curves[1, -1])
        np.testing.assert_allclose(curves[0, -1], curves[1, 0], rtol=1e-5)
        deleted[name], inserted[name] = curves.mean(1)
    assert deleted["true"] < deleted["false"]
    assert inserted["true"] > inserted["false"]


def test_agreement_with_a_region():
    infected = np.zeros((10, 10), bool)
    infected[2:4, 2:4] = True
    lung = np.zeros((10, 10), bool)
    lung[:, :5] = True
    inside, outside, empty = np.zeros((3, 10, 10), np.float32)
    inside[2, 2], outside[9, 9] = 5, 1
    got = heatmaps._agreement([inside, outside, empty], [(infected, lung)] * 3)
    assert got["maps_not_empty"].value == pytest.approx(2 / 3)
    assert got["pointing_game"].value == 0.5
    assert got["energy_in_lungs"].value == 0.5
    # The second map lies outside the lungs: no heat in them, so nothing to compare.
    assert got["infection_over_chance"].n == 1
    assert got["infection_over_chance"].value == pytest.approx(1 / (4 / 50))
    even = heatmaps._agreement([np.ones((10, 10), np.float32)], [(infected, lung)])
    assert even["infection_over_chance"].value == pytest.approx(1)


def test_ranking_puts_the_best_first_and_random_nowhere():
    def scored(value):
        names = ("infection_over_chance", "pointing_game", "energy_in_lungs", "insertion")
        return {n: Estimate(value, 0, 1, 9) for n in names} | {
            "deletion": Estimate(-value, 0, 1, 9)
        }

    result = {"methods": {"a": scored(0.1), "b": scored(0.3), "random": scored(0.9)}}
    assert heatmaps.rank_methods(result) == ["b", "a"]


@pytest.mark.parametrize("shape", [(256, 256), (300, 500)])
def test_lettering_stays_outside_the_lungs(films, shape):
    image, mask = films["clear"]
    image = cv2.resize(image, shape[::-1]).astype(np.float32)
    lung = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST) > 127
    for seed in range(8):
        painted = ablation.write_lettering(
            image, lung.astype(np.float32), np.random.default_rng(seed)
        )
        changed = painted != image
        assert changed.sum() > 30
        assert (changed & lung).sum() <= 0.1 * changed.sum()


def test_variants_of_an_image(predictor, films):
    """A masked model cannot see the background, so without lungs every image scores alike."""
    rng = np.random.default_rng(0)
    first, second = (
        ablation.score_variants(films[name][0].astype(np.float32), predictor, rng)
        for name in ("clear", "opacities")
    )
    assert set(first) == set(ablation.VARIANTS)
    assert first["lungs_black"] == second["lungs_black"]
    assert first["full"] == pytest.approx(
        float(predictor(films["clear"][0].astype(np.float32)).probabilities[predictor.covid])
    )
    assert abs(first["lettering"] - first["full"]) < 0.2


@pytest.mark.slow
def test_changes_of_a_folder(tmp_path, films):
    result = robustness.judge_changes(make_database(tmp_path, films, per_class=1), "light", "all")
    assert result["n"] == 4
    assert set(result["changes"]) == {*robustness.CHANGES, *robustness.MASKS}
    assert "siim" not in result
    grown, shrunk = (result["changes"][name]["mask_dice"].value for name in robustness.MASKS)
    assert 0.7 < grown < 1
    assert 0.7 < shrunk < 1
    assert result["changes"]["none"]["change"].value == 0
    assert result["changes"]["none"]["mask_dice"].value == 1
    assert 0.5 < result["changes"]["mirrored"]["mask_dice"].value < 1


@pytest.mark.parametrize("name", robustness.CHANGES)
def test_changed_images_stay_images(films, name):
    image = cv2.resize(films["clear"][0], (200, 256)).astype(np.float32)
    changed = robustness.CHANGES[name](image)
    assert changed.shape == image.shape
    assert np.array_equal(changed, image) == (name == "none")
    assert np.abs(changed - image).mean() < (60 if name == "mirrored" else 30)


def test_against_unchanged():
    truth = np.array([True, True, False, False])
    found = against_unchanged(
        truth, np.array([0.9, 0.2, 0.6, 0.1]), np.array([0.9, 0.8, 0.1, 0.1]), 0.5
    )
    assert found["sensitivity"].value == found["specificity"].value == 0.5
    assert found["flipped"].value == 0.5
    assert found["change"].value == pytest.approx((0.6 + 0.5) / 4)


@pytest.mark.slow
def test_lungs_of_a_folder(tmp_path, films):
    result = ablation.judge_lungs(make_database(tmp_path, films, per_class=2), "light", "all")
    assert result["n"] == 8
    assert result["variants"]["full"]["change"].value == 0
    assert result["variants"]["lungs_black"]["auc"].value == 0.5


@pytest.mark.slow
def test_heatmaps_of_a_folder(tmp_path, films, monkeypatch):
    """From images and infection masks on disk to every figure, with a threshold that all reach."""
    root = make_database(tmp_path, films, per_class=3)
    folder = root / "COVID-19_Radiography_Dataset" / "COVID"
    (folder / "infection_masks").mkdir()
    for path in folder.glob("images/*.png"):
        spot = np.zeros((128, 128), np.uint8)
        spot[50:80, 25:50] = 255
        cv2.imwrite(str(folder / "infection_masks" / path.name), spot)
    from pipeline.models import registry

    entry = registry.entry("light")
    monkeypatch.setattr(registry, "entry", lambda name, *_: _at_zero(entry, name))
    result = heatmaps.judge_heatmaps(root, "light", "all", curve_images=1)
    assert result["n"] == 3
    assert 0 < result["lungs_share_of_film"].value < 0.5
    assert result["better_than_random"].n == 1
    assert 0 < result["gradient_reaches"].value <= 1
    assert set(result["methods"]) == {*heatmaps.methods_for(True), "random"}
    for method in result["methods"].values():
        assert 0 <= method["deletion"].value <= 1
        assert len(method["insertion_curve"]) == heatmaps.STEPS + 1
    assert heatmaps.rank_methods(result)


def _at_zero(entry, name):
    from dataclasses import replace

    from pipeline.models.registry import ROOT, Entry, read_registry

    if name == entry.name:
        return replace(entry, threshold=0.0)
    values = dict(read_registry()["models"][name])
    values["file"] = ROOT / "weights" / values["file"]
    return Entry(name, **values)


def test_two_models_together():
    truth = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    scores = {
        "a": np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.2, 0.4]),
        "b": np.array([0.9, 0.1, 0.4, 0.6, 0.1, 0.3, 0.1]),
    }
    got = compare_answers(truth, scores, {"a": 0.5, "b": 0.25})
    # a calls images 0, 1, 3 COVID; b images 0, 2, 3, 5.
    assert (got["agree"].value, got["agree"].n) == (4 / 7, 7)
    assert (got["both_positive"].value, got["both_positive"].n) == (1 / 2, 2)
    assert (got["both_negative"].value, got["both_negative"].n) == (1, 2)
    assert {m: (s.value, s.n) for m, s in got["apart"].items()} == {
        "a": (2 / 3, 3),
        "b": (1 / 3, 3),
    }
    assert got["alone"]["a"]["confusion"] == {"tp": 2, "fn": 1, "fp": 1, "tn": 3}
    same = compare_answers(truth, dict.fromkeys("cd", scores["a"]), dict.fromkeys("cd", 0.6))
    assert same["together"]["auc"] == same["alone"]["c"]["auc"]
    assert same["together"]["confusion"] == same["alone"]["c"]["confusion"]
    assert same["apart"]["c"] == Estimate(None, None, None, 0)
