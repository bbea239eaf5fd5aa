"""Curves, operating points and calibration against brute force and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from pipeline.evaluation.calibration import (
    at_prevalence,
    calibrated,
    calibration_report,
    choose_calibration,
    fit_calibration,
    joint,
)
from pipeline.evaluation.curves import (
    THRESHOLDS,
    at_threshold,
    balanced_weights,
    choose_threshold,
    confusion_by_threshold,
    operating_thresholds,
    post_test_probability,
    precision_recall_with_band,
    roc_with_band,
)


def drawn(seed: int = 0, n: int = 400, shift: float = 1.5):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    return truth, 1 / (1 + np.exp(-(rng.normal(0, 1, n) + shift * (truth - 0.5))))


@pytest.mark.parametrize("seed", range(4))
def test_operating_points_keep_their_promises(seed):
    truth, score = drawn(seed)
    points = operating_thresholds(truth, score)
    called = {name: at_threshold(truth, score, t) for name, t in points.items()}
    assert called["screening"]["sensitivity"].value >= 0.95
    assert called["confirming"]["specificity"].value >= 0.98
    higher = at_threshold(truth, score, np.min(score[score > points["screening"]]) + 1e-9)
    lower = at_threshold(truth, score, np.max(score[score < points["confirming"]]))
    assert higher["sensitivity"].value <= called["screening"]["sensitivity"].value
    assert lower["specificity"].value < 0.98
    fpr, tpr, _ = roc_curve(truth, score)
    balanced = called["balanced"]
    youden = balanced["sensitivity"].value + balanced["specificity"].value - 1
    assert youden == pytest.approx((tpr - fpr).max())


def test_perfect_scores_have_operating_points():
    points = operating_thresholds(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert all(0.2 < t < 0.8 for t in points.values())


def test_confusion_at_every_threshold():
    truth, score = drawn()
    table = confusion_by_threshold(truth, score)
    assert table["threshold"] == THRESHOLDS.tolist()
    for i in (0, 57, 120, 200):
        called = score >= table["threshold"][i]
        assert table["tp"][i] == (called & truth).sum()
        assert table["tn"][i] == (~called & ~truth).sum()
        assert table["tp"][i] + table["fn"][i] == truth.sum()
        assert table["fp"][i] + table["tn"][i] == (~truth).sum()


def test_roc_agrees_with_scikit_learn():
    truth, score = drawn()
    ours = roc_with_band(truth, score, draws=200)
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    for x, y in zip(ours["fpr"], ours["tpr"], strict=True):
        assert y == pytest.approx(tpr[fpr <= x + 1e-9].max(), abs=1e-4)
    assert np.all(np.diff(ours["tpr"]) >= 0)
    inside = [
        lo <= y <= hi for lo, y, hi in zip(ours["low"], ours["tpr"], ours["high"], strict=True)
    ]
    assert np.mean(inside) > 0.95
    assert np.mean(np.subtract(ours["high"], ours["low"])) > 0.02


def test_precision_recall():
    truth, score = drawn()
    ours = precision_recall_with_band(truth, score, draws=50)
    assert ours["precision"][-1] == pytest.approx(
        truth.sum() / (score >= score[truth].min()).sum(), abs=1e-4
    )
    assert ours["prevalence"] == pytest.approx(truth.mean())


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.001, 0.999))
def test_post_test_probability_is_bayes(sensitivity, specificity, prevalence):
    n = 1e6
    tp, fp = n * prevalence * sensitivity, n * (1 - prevalence) * (1 - specificity)
    assert post_test_probability(sensitivity, specificity, prevalence, True) == pytest.approx(
        tp / (tp + fp)
    )
    fn, tn = n * prevalence * (1 - sensitivity), n * (1 - prevalence) * specificity
    assert post_test_probability(sensitivity, specificity, prevalence, False) == pytest.approx(
        fn / (fn + tn)
    )


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_joint_score_lies_between(a, b, low, high):
    assert joint((a, a), (low, low)) == pytest.approx(joint((a,), (low,)))
    assert (joint((a,), (low,)) >= 0.5) == (a >= low) or a == pytest.approx(low)
    alone = sorted((joint((a,), (low,)), joint((b,), (high,))))
    assert alone[0] - 1e-9 <= joint((a, b), (low, high)) <= alone[1] + 1e-9


def test_slope_and_intercept_are_found_again():
    rng = np.random.default_rng(1)
    p = rng.random(20000)
    truth = rng.random(20000) < p
    distorted = calibrated(p, 2.5, 1.5)  # undone by a slope of 0.4 and an intercept of -0.6
    found = fit_calibration(truth, distorted, np.ones(20000))
    assert found == pytest.approx((0.4, -0.6), rel=0.1)
    assert fit_calibration(truth, calibrated(p, 2.5, 0), np.ones(20000), shifted=False) == (
        pytest.approx(0.4, rel=0.1),
        0,
    )


def test_classes_wholly_apart_ask_for_no_infinite_slope():
    truth = np.arange(200) % 2 == 0
    slope, intercept = fit_calibration(truth, np.where(truth, 0.9, 0.1), np.ones(200))
    assert 1 < slope < 4
    assert abs(intercept) < 0.1


def test_calibration_weighs_its_images():
    """What is fitted to a mixture rests on weights, not on how many images a part of it has."""
    rng = np.random.default_rng(3)
    p = rng.random(30000)
    truth = rng.random(30000) < p
    score = np.where(np.arange(30000) < 29000, calibrated(p, 4, 2), p)
    weight = np.where(np.arange(30000) < 29000, 1e-9, 1.0)
    assert fit_calibration(truth, score, weight) == pytest.approx((1, 0), abs=0.15)


@pytest.mark.parametrize(("distorted", "has_intercept"), [((2.5, 1.5), True), ((2.5, 0), False)])
def test_an_intercept_is_kept_where_it_helps(distorted, has_intercept):
    rng = np.random.default_rng(4)
    p = rng.random(8000)
    truth = rng.random(8000) < p
    judged = np.arange(8000) < 4000
    # The other half is drawn towards COVID: an intercept for both mends one and harms the other.
    score = calibrated(p, *distorted)
    score = np.where(judged | has_intercept, score, calibrated(p, 2.5, 3))
    slope, intercept = choose_calibration(truth, score, np.ones(8000), judged)
    assert (intercept != 0) == has_intercept
    assert 0 < slope < 1


def test_balanced_weights_count_cells_alike():
    weight = balanced_weights(["a", "a", "a", "b"])
    assert weight == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_thresholds_follow_the_weights():
    """A copy of an image and a double weight are the same thing."""
    truth, score = drawn(5)
    twice = np.random.default_rng(0).integers(1, 4, len(truth))
    many = np.repeat(truth, twice), np.repeat(score, twice)
    assert operating_thresholds(truth, score, twice) == pytest.approx(operating_thresholds(*many))
    assert choose_threshold(truth, score, weight=twice) == pytest.approx(choose_threshold(*many))


def test_threshold_balances_both_goals():
    rng = np.random.default_rng(1)
    truth = np.repeat([True, False], (500, 2000))
    score = 1 / (1 + np.exp(-rng.normal(np.where(truth, 2.5, -2.5), 1)))
    scores = at_threshold(truth, score, choose_threshold(truth, score))
    assert scores["sensitivity"].value > 0.97
    assert scores["specificity"].value > 0.98


def test_calibration_lowers_the_error_at_the_images_own_prevalence():
    """Scores that hold at one half, images of which a fifth are ill: Bayes mends them."""
    rng = np.random.default_rng(2)
    truth = rng.random(20000) < 0.2
    evidence = rng.normal(0, 1, 20000) + 2 * (truth - 0.5)  # log-odds 2 x at one half
    score = 1 / (1 + np.exp(-3 * evidence))
    report = calibration_report(truth, score, slope=1 / 1.5, intercept=0)
    assert report["after"]["ece"] < 0.02 < report["before"]["ece"]
    assert report["after"]["brier"] < report["before"]["brier"]
    assert sum(b["share"].n for b in report["after"]["diagram"]) == 20000


@settings(max_examples=50)
@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_prevalence_moves_a_probability_as_bayes_says(p, prevalence):
    odds = p / (1 - p) * prevalence / (1 - prevalence)
    assert at_prevalence(p, prevalence) == pytest.approx(odds / (1 + odds))
    assert at_prevalence(p, 0.5) == pytest.approx(p)
