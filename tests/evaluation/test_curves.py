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
    fit_temperature,
    joint,
)
from pipeline.evaluation.curves import (
    THRESHOLDS,
    at_threshold,
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
    assert called["screening"]["sensitivity"]["value"] >= 0.95
    assert called["confirming"]["specificity"]["value"] >= 0.98
    higher = at_threshold(truth, score, np.min(score[score > points["screening"]]) + 1e-9)
    lower = at_threshold(truth, score, np.max(score[score < points["confirming"]]))
    assert higher["sensitivity"]["value"] <= called["screening"]["sensitivity"]["value"]
    assert lower["specificity"]["value"] < 0.98
    fpr, tpr, _ = roc_curve(truth, score)
    balanced = called["balanced"]
    youden = balanced["sensitivity"]["value"] + balanced["specificity"]["value"] - 1
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


def test_temperature_is_found_again():
    rng = np.random.default_rng(1)
    p = rng.random(20000)
    truth = rng.random(20000) < p
    too_sure = calibrated(p, 1 / 2.5)
    assert fit_temperature(truth, too_sure) == pytest.approx(2.5, rel=0.1)


def test_calibration_lowers_the_error_at_the_films_own_prevalence():
    """Scores that hold at one half, films of which a fifth are ill: Bayes mends them."""
    rng = np.random.default_rng(2)
    truth = rng.random(20000) < 0.2
    evidence = rng.normal(0, 1, 20000) + 2 * (truth - 0.5)  # log-odds 2 x at one half
    score = 1 / (1 + np.exp(-3 * evidence))
    report = calibration_report(truth, score, temperature=1.5)
    assert report["after"]["ece"] < 0.02 < report["before"]["ece"]
    assert report["after"]["brier"] < report["before"]["brier"]
    assert sum(b["share"]["n"] for b in report["after"]["diagram"]) == 20000


@settings(max_examples=50)
@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_prevalence_moves_a_probability_as_bayes_says(p, prevalence):
    odds = p / (1 - p) * prevalence / (1 - prevalence)
    assert at_prevalence(p, prevalence) == pytest.approx(odds / (1 + odds))
    assert at_prevalence(p, 0.5) == pytest.approx(p)
