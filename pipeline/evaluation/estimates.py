"""Scores with their 95 % intervals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, and the number of images that it rests on.

    All but ``n`` are None where there was nothing to measure. `pipeline.text.formatting.estimate`
    writes it; ``Estimate(**record)`` reads what JSON holds of it, `plain` gives that.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


# What a measurement gives: estimates, counts and names under the keys that its docstring lists.
Result = dict[str, Any]


def plain(result: Any) -> Any:
    """What JSON holds of a result: each `Estimate` in it, however deep, as a dict of its fields."""
    if isinstance(result, Estimate):
        return asdict(result)
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [plain(value) for value in result]
    return result


def unknown(n: int = 0) -> Estimate:
    """The estimate of what could not be measured on ``n`` images."""
    return Estimate(None, None, None, n)


def proportion(hits: int, n: int) -> Estimate:
    """A proportion with its 95 % Wilson interval (Wilson 1927), unknown when n is 0."""
    if n == 0:
        return unknown()
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Estimate(hits / n, float(interval.low), float(interval.high), int(n))


def mean_with_interval(values: ArrayLike, seed: int = 0, draws: int = 2000) -> Estimate:
    """Mean of per-image values with its 95 % percentile bootstrap interval."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return unknown()
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def weighted_mean_with_interval(
    groups: Mapping[str, ArrayLike],
    weights: Mapping[str, float],
    seed: int = 0,
    draws: int = 2000,
) -> Estimate:
    """Mean of the groups' means, weighted, with its 95 % interval: bootstrap within each group.

    A weighted group without values leaves the mean unknown.
    """
    values = [np.asarray(groups.get(name, ()), np.float64) for name in weights]
    n = sum(map(len, values))
    if not all(map(len, values)):
        return unknown(n)
    share = np.array(list(weights.values()), np.float64)
    share /= share.sum()
    rng = np.random.default_rng(seed)
    means = [
        share @ [group[rng.integers(0, len(group), len(group))].mean() for group in values]
        for _ in range(draws)
    ]
    low, high = np.percentile(means, (2.5, 97.5))
    value = float(share @ [group.mean() for group in values])
    return Estimate(value, float(low), float(high), n)


def auc_with_interval(truth: ArrayLike, score: ArrayLike) -> Estimate:
    """Area under the ROC curve with DeLong's 95 % interval (DeLong et al. 1988).

    ``truth``: bool (image,), True where COVID. ``score``: float (image,).
    """
    truth = np.asarray(truth, bool)
    positives, negatives = np.asarray(score)[truth], np.asarray(score)[~truth]
    m, n = len(positives), len(negatives)
    if not m or not n:
        return unknown(m + n)
    value = float(roc_auc_score(truth, score))
    # Structural components: for each image, the share of the other class that it ranks rightly.
    below = _rank_share(positives, negatives)
    above = 1 - _rank_share(negatives, positives)
    variance = below.var(ddof=1) / m if m > 1 else 0.0
    variance += above.var(ddof=1) / n if n > 1 else 0.0
    half = 1.96 * float(np.sqrt(variance))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), m + n)


def _rank_share(of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Share of ``among`` that lies below each of ``of``, ties counting half."""
    among = np.sort(among)
    below = np.searchsorted(among, of, "left") + np.searchsorted(among, of, "right")
    return below / (2 * len(among))


def classification_scores(truth: ArrayLike, score: ArrayLike, threshold: float) -> Result:
    """Every score of a binary classifier; an image is called COVID from ``threshold`` on.

    ``truth``: bool (image,); ``score``: float (image,) in 0..1. Scores that one class alone cannot
    give are unknown.
    """
    truth, score = np.asarray(truth, bool), np.asarray(score, np.float64)
    called = score >= threshold
    tp, fn = int((called & truth).sum()), int((~called & truth).sum())
    fp, tn = int((called & ~truth).sum()), int((~called & ~truth).sum())
    return {
        "n": len(truth),
        "auc": auc_with_interval(truth, score),
        "threshold": threshold,
        "accuracy": proportion(tp + tn, len(truth)),
        "sensitivity": proportion(tp, tp + fn),
        "specificity": proportion(tn, tn + fp),
        "precision": proportion(tp, tp + fp),
        "confusion": {"tp": tp, "fn": fn, "fp": fp, "tn": tn},
        "brier": float(np.mean((score - truth) ** 2)) if len(truth) else None,
        "ece": expected_calibration_error(truth, score),
    }


def sensitivity_and_specificity(truth: ArrayLike, called: ArrayLike) -> dict[str, Estimate]:
    """Shares of the images with and without COVID that are called rightly; both bool (image,)."""
    truth, called = np.asarray(truth, bool), np.asarray(called, bool)
    return {
        "sensitivity": proportion(int((called & truth).sum()), int(truth.sum())),
        "specificity": proportion(int((~called & ~truth).sum()), int((~truth).sum())),
    }


def against_unchanged(
    truth: np.ndarray, score: np.ndarray, unchanged: np.ndarray, threshold: float
) -> dict[str, Estimate]:
    """Scores of changed images, and how far they lie from those of the same images unchanged.

    ``called_covid``: share at or above the threshold; ``change``: mean absolute change of the
    score; ``flipped``: share of images whose answer changes sides.
    """
    called = score >= threshold
    return {
        "auc": auc_with_interval(truth, score),
        **sensitivity_and_specificity(truth, called),
        "called_covid": proportion(int(called.sum()), len(score)),
        "change": mean_with_interval(np.abs(score - unchanged)),
        "flipped": proportion(int((called != (unchanged >= threshold)).sum()), len(score)),
    }


def expected_calibration_error(
    truth: np.ndarray, score: np.ndarray, bins: int = 15
) -> float | None:
    """Mean gap between score and share of COVID over equal score bins (Guo et al. 2017, eq. 3)."""
    if not len(truth):
        return None
    which = np.minimum((score * bins).astype(int), bins - 1)
    gaps = [
        (which == b).sum() * abs(score[which == b].mean() - truth[which == b].mean())
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps) / len(truth))


def mask_agreement(mask: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Dice, IoU and pixel accuracy of two bool masks of one shape; empty against empty is 1."""
    both, either = (mask & truth).sum(), (mask | truth).sum()
    total = mask.sum() + truth.sum()
    return {
        "dice": float(2 * both / total) if total else 1.0,
        "iou": float(both / either) if either else 1.0,
        "accuracy": float((mask == truth).mean()),
    }
