"""Three answers: the limits keep what they promise."""

import numpy as np
import pytest

from pipeline.evaluation.triage import choose_limits, triage_report
from pipeline.models.triage import TriageLimits


def drawn(rng: np.random.Generator, n: int, shift: float):
    """Scores of a mixture of two scales of the same size, and which cell each image is of."""
    truth, scale = rng.random(n) < 0.5, rng.random(n) < 0.5
    evidence = rng.normal(0, 1, n) + np.where(scale, shift, shift / 2) * (truth - 0.5)
    score = 1 / (1 + np.exp(-2 * evidence))
    return truth, score, list(zip(scale.tolist(), truth.tolist(), strict=True))


def test_three_answers():
    limits = TriageLimits(0.2, 0.7, 0.05, 0.95, 100)
    said = [limits.answer(score) for score in (0.0, 0.19, 0.2, 0.69, 0.7, 1.0)]
    assert said == ["unlikely", "unlikely", "uncertain", "uncertain", "likely", "likely"]
    never = TriageLimits(None, None, 0.05, 0.95, 100)
    assert {never.answer(score) for score in (0.0, 1.0)} == {"uncertain"}


@pytest.mark.slow
def test_limits_keep_the_rate_as_often_as_they_promise():
    """Over 200 calibrations, what they promise fails on fresh images in 5 % of them at most."""
    rng = np.random.default_rng(0)
    truth, score, _ = drawn(rng, 20_000, 3.5)
    failed, answered = 0, []
    for _ in range(200):
        limits = choose_limits(*drawn(rng, 800, 3.5), threshold=0.5)
        report = triage_report(truth, score, limits)
        failed += bool(report["wrong"].n and report["wrong"].value > 0.05)
        answered.append(1 - report["uncertain"].value)
    assert failed <= 0.05 * 200
    assert np.mean(answered) > 0.5, "limits that answer nothing would keep every promise"


def test_surer_scores_are_answered_more_often():
    rng = np.random.default_rng(1)
    vague, sure = (
        triage_report(t, s, choose_limits(t, s, cells, 0.5))["uncertain"].value
        for t, s, cells in (drawn(rng, 2000, 2.5), drawn(rng, 2000, 9))
    )
    assert sure < 0.05 < vague


def test_nothing_is_promised_without_evidence():
    rng = np.random.default_rng(2)
    truth, _, cells = drawn(rng, 2000, 1)
    limits = choose_limits(truth, rng.random(2000), cells, 0.5)
    assert (limits.low, limits.high) == (None, None)
    few = choose_limits(truth[:40], truth[:40] * 0.8 + 0.1, cells[:40], 0.5)
    assert (few.low, few.high) == (None, None), "40 right answers do not show 95 %"


def test_limits_lie_around_the_threshold():
    rng = np.random.default_rng(3)
    truth, score, cells = drawn(rng, 2000, 9)
    limits = choose_limits(truth, score, cells, 0.5)
    assert limits.low <= 0.5 <= limits.high


def test_cells_weigh_alike():
    """A cell of images that are always answered wrongly counts as much as ones ten times larger."""
    rng = np.random.default_rng(4)
    truth = np.tile([True, False], 2000)
    score = np.where(truth, 0.9, 0.1) + rng.uniform(-0.05, 0.05, 4000)
    scale = np.arange(4000) < 3600
    score = np.where(scale, score, 1 - score)
    cells = list(zip(scale.tolist(), truth.tolist(), strict=True))
    assert choose_limits(truth, score, ["all"] * 4000, 0.5, rate=0.2).high is not None
    limits = choose_limits(truth, score, cells, 0.5, rate=0.2)
    assert (limits.low, limits.high, limits.n) == (None, None, 800)


def test_report_counts():
    limits = TriageLimits(0.3, 0.7, 0.05, 0.95, 100)
    truth = np.array([1, 1, 0, 0, 1, 0], bool)
    score = np.array([0.9, 0.2, 0.1, 0.8, 0.5, 0.0])
    report = triage_report(truth, score, limits)
    shares = {name: report[name].value for name in ("likely", "unlikely", "uncertain")}
    assert shares == pytest.approx({"likely": 1 / 3, "unlikely": 1 / 2, "uncertain": 1 / 6})
    assert (report["wrong"].value, report["wrong"].n) == (2 / 5, 5)
    assert report["wrong_likely"].value == 1 / 2
    assert report["wrong_unlikely"].value == pytest.approx(1 / 3)
    assert report["kept"] is False
    assert triage_report(truth[4:5], score[4:5], limits)["kept"] is None
