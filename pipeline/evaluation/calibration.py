"""Is a score a probability? Temperature, reliability diagram, ECE, Brier."""

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline.evaluation.estimates import expected_calibration_error, proportion

EPSILON = 1e-6


def logit(score):
    """Log-odds of a score in 0..1, clipped away from the ends."""
    p = np.clip(np.asarray(score, np.float64), EPSILON, 1 - EPSILON)
    return np.log(p / (1 - p))


def calibrated(score, temperature: float):
    """A score after temperature scaling (Guo et al. 2017, eq. 9): its log-odds divided by T."""
    return 1 / (1 + np.exp(-logit(score) / temperature))


def joint(scores, thresholds):
    """What several models say together: the mean of their log-odds, each from its own threshold.

    ``scores``: one entry per model, each float in 0..1 or an array of them; ``thresholds``: float
    per model. Returns scores in 0..1, COVID from 0.5 on.
    """
    odds = [logit(s) - logit(t) for s, t in zip(scores, thresholds, strict=True)]
    return 1 / (1 + np.exp(-np.mean(odds, axis=0)))


def fit_temperature(truth, score) -> float:
    """The temperature with the lowest balanced log loss; to be called on validation films only.

    Both classes weigh alike: the models are trained on balanced batches, so a calibrated score is
    the probability of COVID where half the films show it. `at_prevalence` moves it elsewhere.
    """
    truth = np.asarray(truth, bool)

    def loss(log_temperature: float) -> float:
        p = calibrated(score, np.exp(log_temperature))
        return -np.log(p[truth]).mean() - np.log(1 - p[~truth]).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def at_prevalence(probability, prevalence: float):
    """Move a probability that holds at a prevalence of one half to another prevalence (Bayes)."""
    prior = np.clip(prevalence, EPSILON, 1 - EPSILON)
    return 1 / (1 + np.exp(-(logit(probability) + logit(prior))))


def calibration_report(truth, score, temperature: float, bins: int = 10) -> dict:
    """Reliability, ECE and Brier score before and after, at the films' own prevalence."""
    truth = np.asarray(truth, bool)
    prevalence = float(truth.mean())
    before = np.asarray(score, np.float64)
    after = at_prevalence(calibrated(score, temperature), prevalence)
    return {
        "temperature": temperature,
        "prevalence": prevalence,
        "before": _described(truth, before, bins),
        "after": _described(truth, after, bins),
    }


def _described(truth: np.ndarray, p: np.ndarray, bins: int) -> dict:
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
