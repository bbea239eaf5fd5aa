"""Is a score a probability? Platt scaling, reliability diagram, ECE, Brier."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from pipeline.evaluation.estimates import Result, expected_calibration_error, proportion

EPSILON = 1e-6


def logit(score: ArrayLike) -> np.ndarray:
    """Log-odds of scores in 0..1, clipped away from the ends, in the shape given."""
    p = np.clip(np.asarray(score, np.float64), EPSILON, 1 - EPSILON)
    odds: np.ndarray = np.log(p / (1 - p))
    return odds


def calibrated(score: ArrayLike, slope: float, intercept: float) -> np.ndarray:
    """A score after Platt scaling (Platt 1999): its log-odds times the slope, plus the intercept.

    With an intercept of 0 that is temperature scaling with T = 1 / slope (Guo et al. 2017, eq. 9).
    """
    return 1 / (1 + np.exp(-(slope * logit(score) + intercept)))


def joint(scores: Sequence[ArrayLike], thresholds: Sequence[float]) -> np.ndarray:
    """What several models say together: the mean of their log-odds, each from its own threshold.

    ``scores``: one entry per model, each float in 0..1 or an array of them; ``thresholds``: float
    per model. Returns scores in 0..1, COVID from 0.5 on.
    """
    odds = [logit(s) - logit(t) for s, t in zip(scores, thresholds, strict=True)]
    return 1 / (1 + np.exp(-np.mean(odds, axis=0)))


def fit_calibration(
    truth: ArrayLike, score: ArrayLike, weight: ArrayLike, shifted: bool = True
) -> tuple[float, float]:
    """Slope and intercept with the lowest log loss; to be called on validation images only.

    ``weight``: how much each image counts. Both classes should weigh alike in all: a calibrated
    score is then the probability of COVID where half the images show it. `at_prevalence` moves it
    elsewhere. Unless ``shifted``, the intercept is 0. Targets are a little away from 0 and 1, so
    that classes which the scores separate wholly do not ask for an infinite slope (Platt 1999).
    """
    truth = np.asarray(truth, bool)
    target = np.where(truth, 1 - 1 / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    odds, weight = logit(score), np.asarray(weight, np.float64) / np.sum(weight)

    def loss(at: np.ndarray) -> float:
        slope, intercept = at
        line = slope * odds + intercept
        return float(weight @ (np.logaddexp(0, line) - target * line))

    bounds = [(0.01, 100), (-20, 20) if shifted else (0, 0)]
    slope, intercept = minimize(loss, (1.0, 0.0), method="L-BFGS-B", bounds=bounds).x
    return float(slope), float(intercept)


def choose_calibration(
    truth: ArrayLike, score: ArrayLike, weight: ArrayLike, judged: ArrayLike
) -> tuple[float, float]:
    """Slope and intercept, or the slope alone, whichever leaves the lower ECE on ``judged``.

    ``judged``: bool (image,), of which images the error is measured, at their own prevalence.
    """
    truth, score, judged = np.asarray(truth, bool), np.asarray(score), np.asarray(judged)

    def error(line: tuple[float, float]) -> float:
        p = at_prevalence(calibrated(score[judged], *line), float(truth[judged].mean()))
        return expected_calibration_error(truth[judged], p) or 0.0

    return min((fit_calibration(truth, score, weight, way) for way in (False, True)), key=error)


def at_prevalence(probability: ArrayLike, prevalence: float) -> np.ndarray:
    """Move probabilities that hold at a prevalence of one half to another prevalence (Bayes)."""
    prior = np.clip(prevalence, EPSILON, 1 - EPSILON)
    return 1 / (1 + np.exp(-(logit(probability) + logit(prior))))


def calibration_report(
    truth: ArrayLike, score: ArrayLike, slope: float, intercept: float, bins: int = 10
) -> Result:
    """Reliability, ECE and Brier score before and after, at the images' own prevalence."""
    truth = np.asarray(truth, bool)
    prevalence = float(truth.mean())
    before = np.asarray(score, np.float64)
    after = at_prevalence(calibrated(score, slope, intercept), prevalence)
    return {
        "slope": slope,
        "intercept": intercept,
        "prevalence": prevalence,
        "before": _described(truth, before, bins),
        "after": _described(truth, after, bins),
    }


def _described(truth: np.ndarray, p: np.ndarray, bins: int) -> Result:
    which = np.minimum((p * bins).astype(int), bins - 1)
    diagram = [
        {"mean": float(p[which == b].mean())}
        | {"share": proportion(int(truth[which == b].sum()), int((which == b).sum()))}
        for b in range(bins)
        if (which == b).any()
    ]
    return {
        "ece": expected_calibration_error(truth, p),
        "brier": float(np.mean((p - truth) ** 2)),
        "diagram": diagram,
    }
