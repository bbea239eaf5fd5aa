"""Scores on cases small enough to count by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.estimates import (
    Estimate,
    auc_with_interval,
    classification_scores,
    expected_calibration_error,
    mask_agreement,
    mean_with_interval,
    plain,
    proportion,
    weighted_mean_with_interval,
)

TRUTH = np.array([1, 1, 1, 0, 0, 0, 0], bool)
SCORE = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1, 0.0])


def test_confusion_and_proportions():
    scores = classification_scores(TRUTH, SCORE, 0.5)
    assert scores["confusion"] == {"tp": 2, "fn": 1, "fp": 1, "tn": 3}
    assert scores["accuracy"].value == pytest.approx(5 / 7)
    assert scores["sensitivity"].value == pytest.approx(2 / 3)
    assert scores["specificity"].value == pytest.approx(3 / 4)
    assert scores["auc"].value == pytest.approx(11 / 12)
    assert scores["brier"] == pytest.approx(np.mean((SCORE - TRUTH) ** 2))


def test_threshold_itself_is_positive():
    assert classification_scores(TRUTH, SCORE, 0.7)["confusion"]["fp"] == 1


def test_one_class_alone_has_no_auc():
    scores = classification_scores(np.ones(3, bool), np.full(3, 0.9), 0.5)
    assert scores["auc"].value is None
    assert scores["specificity"].value is None
    assert scores["sensitivity"].value == 1
    assert classification_scores(np.array([], bool), np.array([]), 0.5)["n"] == 0


def test_wilson_interval():
    # 8 of 10: Wilson's interval is 0.4902 to 0.9433 (Brown, Cai and DasGupta 2001).
    interval = proportion(8, 10)
    assert interval.low == pytest.approx(0.4902, abs=1e-4)
    assert interval.high == pytest.approx(0.9433, abs=1e-4)
    assert proportion(0, 0).value is None


def test_weighted_mean():
    groups = {"a": [1.0, 0.0], "b": [0.2] * 40, "c": [9.0]}
    mean = weighted_mean_with_interval(groups, {"a": 3, "b": 1})
    assert mean.value == pytest.approx(0.75 * 0.5 + 0.25 * 0.2)
    assert mean.n == 42
    # Of two images drawn again, a quarter of draws are both 0 and a quarter both 1.
    assert (mean.low, mean.high) == pytest.approx((0.05, 0.80))
    assert weighted_mean_with_interval(groups, {"a": 3, "d": 1}).value is None


@given(st.integers(1, 200), st.data())
def test_interval_holds_its_value(n, data):
    k = data.draw(st.integers(0, n))
    interval = proportion(k, n)
    assert 0 <= interval.low <= interval.value + 1e-12
    assert interval.value <= interval.high + 1e-12 <= 1 + 2e-12


def test_delong_interval_covers_as_it_should():
    """Over repeated draws of known AUC 0.76, about 95 % of intervals hold it."""
    rng = np.random.default_rng(0)
    truth = np.repeat([True, False], (60, 120))
    held = 0
    for _ in range(300):
        score = rng.normal(np.where(truth, 1.0, 0.0), 1)
        interval = auc_with_interval(truth, score)
        held += interval.low <= 0.76025 <= interval.high
    assert 0.91 <= held / 300 <= 0.99


def test_calibration_error():
    score = np.repeat([0.1, 0.9], 50)
    right = np.concatenate([np.arange(50) < 5, np.arange(50) < 45])
    assert expected_calibration_error(right, score) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(~right, score) == pytest.approx(0.8)


def test_mask_agreement():
    a = np.array([[1, 1, 0, 0]], bool)
    b = np.array([[1, 0, 1, 0]], bool)
    assert mask_agreement(a, b) == {"dice": 0.5, "iou": pytest.approx(1 / 3), "accuracy": 0.5}
    assert mask_agreement(a & False, b & False)["dice"] == 1


def test_bootstrap_interval_of_a_mean():
    values = np.random.default_rng(0).normal(0.9, 0.05, 400)
    interval = mean_with_interval(values)
    assert interval.high - interval.low == pytest.approx(4 * 0.05 / 20, rel=0.2)


def test_plain_is_what_json_holds():
    known = Estimate(0.5, 0.25, 0.75, 4)
    record = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
    assert plain(known) == record
    result = {"n": 4, "rows": {"a": {"share": known}}, "list": [known, "text"], "pair": (1, known)}
    assert json.loads(json.dumps(plain(result))) == {
        "n": 4,
        "rows": {"a": {"share": record}},
        "list": [record, "text"],
        "pair": [1, record],
    }
    assert list(plain(known)) == ["value", "low", "high", "n"], "files keep the order of the fields"
