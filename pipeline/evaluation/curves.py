"""Curves of a binary score with bootstrap bands, operating points, post-test probability."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score

from pipeline.evaluation.estimates import Result, sensitivity_and_specificity

GRID = np.linspace(0, 1, 101)
THRESHOLDS = np.round(np.linspace(0, 1, 201), 3)
SCREENING_SENSITIVITY, CONFIRMING_SPECIFICITY = 0.95, 0.98
ROUNDING = 1e-9


def balanced_weights(cells: Sequence[Hashable]) -> np.ndarray:
    """Weights by which every cell counts alike, whatever its size: float64 (image,), sum 1.

    ``cells``: one hashable name per image, such as (scale, class).
    """
    counts = Counter(cells)
    return np.array([1 / counts[cell] for cell in cells]) / len(counts)


def operating_thresholds(
    truth: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Thresholds of the named operating points; to be called on validation images only.

    ``screening``: the highest threshold whose sensitivity is at least 95 %; ``confirming``: the
    lowest whose specificity is at least 98 %; ``balanced``: the greatest sensitivity plus
    specificity (Youden 1950). An image is called COVID from the threshold on. ``weight``: how much
    each image counts, see `balanced_weights`; alike where there is none.
    """
    truth, score = np.asarray(truth, bool), np.asarray(score, np.float64)
    levels = np.unique(score)
    candidates = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2, [1.0]])
    sensitivity, specificity = _rates(truth, score, candidates, weight)
    return {
        "screening": float(candidates[sensitivity >= SCREENING_SENSITIVITY - ROUNDING].max()),
        "balanced": float(candidates[np.argmax(sensitivity + specificity)]),
        "confirming": float(candidates[specificity >= CONFIRMING_SPECIFICITY - ROUNDING].min()),
    }


def choose_threshold(
    truth: ArrayLike,
    score: ArrayLike,
    sensitivity: float = 0.94,
    specificity: float = 0.96,
    weight: ArrayLike | None = None,
) -> float:
    """The threshold whose worse margin over the two goals is best; of equals, the middle one.

    To be called on validation images only; ``weight`` as in `operating_thresholds`.
    """
    truth, score = np.asarray(truth, bool), np.asarray(score, np.float64)
    levels = np.unique(score)
    candidates = (levels[1:] + levels[:-1]) / 2
    sensitivities, specificities = _rates(truth, score, candidates, weight)
    margins = np.minimum(sensitivities - sensitivity, specificities - specificity)
    best = candidates[margins >= margins.max() - ROUNDING]
    return float(best[len(best) // 2])


def at_threshold(truth: ArrayLike, score: ArrayLike, threshold: float) -> Result:
    """``threshold``, and `sensitivity_and_specificity` of what is called from it on."""
    called = np.asarray(score) >= threshold
    return {"threshold": float(threshold)} | sensitivity_and_specificity(truth, called)


def confusion_by_threshold(truth: ArrayLike, score: ArrayLike) -> dict[str, list[float]]:
    """True and false positives and negatives at every threshold of a fixed grid over 0..1."""
    truth = np.asarray(truth, bool)
    called = np.asarray(score)[:, None] >= THRESHOLDS
    tp, fp = called[truth].sum(0), called[~truth].sum(0)
    return {
        "threshold": THRESHOLDS.tolist(),
        "tp": tp.tolist(),
        "fn": (truth.sum() - tp).tolist(),
        "fp": fp.tolist(),
        "tn": ((~truth).sum() - fp).tolist(),
    }


def roc_with_band(
    truth: ArrayLike, score: ArrayLike, draws: int = 1000, seed: int = 0
) -> dict[str, list[float]]:
    """ROC curve on a fixed grid of false-positive rates, with its 95 % bootstrap band.

    Images are drawn again within each class. Keys: ``fpr``, ``tpr``, ``low``, ``high``.
    """
    positives, negatives = _by_class(truth, score)
    rng = np.random.default_rng(seed)
    drawn = [_roc(_redraw(positives, rng), _redraw(negatives, rng)) for _ in range(draws)]
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    curve = _roc(positives, negatives)
    return {"fpr": _list(GRID), "tpr": _list(curve), "low": _list(low), "high": _list(high)}


def precision_recall_with_band(
    truth: ArrayLike, score: ArrayLike, draws: int = 1000, seed: int = 0
) -> Result:
    """Precision over a fixed grid of recalls, at the images' own prevalence, with its 95 % band.

    Keys: ``recall``, ``precision``, ``low``, ``high``, ``prevalence``, ``average_precision``.
    """
    positives, negatives = _by_class(truth, score)
    rng = np.random.default_rng(seed)
    drawn = [_precision(_redraw(positives, rng), _redraw(negatives, rng)) for _ in range(draws)]
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    curve = _precision(positives, negatives)
    return {
        "recall": _list(GRID),
        "precision": _list(curve),
        "low": _list(low),
        "high": _list(high),
        "prevalence": float(np.mean(np.asarray(truth, bool))),
        "average_precision": float(average_precision_score(truth, score)),
    }


def post_test_probability(
    sensitivity: float, specificity: float, prevalence: float, positive: bool
) -> float:
    """Probability of disease after a test's answer (Bayes); all in 0..1.

    An answer that never comes about (0 of 0) tells nothing: the prevalence is returned.
    """
    ill, well = (sensitivity, 1 - specificity) if positive else (1 - sensitivity, specificity)
    total = prevalence * ill + (1 - prevalence) * well
    return prevalence * ill / total if total else prevalence


def _rates(
    truth: np.ndarray, score: np.ndarray, thresholds: np.ndarray, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    weight = np.ones(len(truth)) if weight is None else np.asarray(weight, np.float64)
    missed, spared = (_share_below(score[of], weight[of], thresholds) for of in (truth, ~truth))
    return 1 - missed, spared


def _share_below(score: np.ndarray, weight: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    order = np.argsort(score)
    sums = np.concatenate([[0.0], np.cumsum(weight[order])])
    return sums[np.searchsorted(score[order], thresholds)] / sums[-1]


def _by_class(truth: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, score = np.asarray(truth, bool), np.asarray(score, np.float64)
    return score[truth], score[~truth]


def _redraw(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return values[rng.integers(0, len(values), len(values))]


def _roc(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """True-positive rate at each false-positive rate of the grid."""
    # The highest threshold at which no more than that share of the negatives is called.
    order = np.sort(negatives)[::-1]
    allowed = np.minimum(np.floor(GRID * len(order) + 1e-9).astype(int), len(order) - 1)
    ranked = np.sort(positives)
    rates = 1 - np.searchsorted(ranked, order[allowed], side="right") / len(ranked)
    rates[-1] = 1.0
    return rates


def _precision(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Precision at the highest threshold that reaches each recall of the grid."""
    order = np.sort(positives)[::-1]
    needed = np.clip(np.ceil(GRID * len(order) - 1e-9).astype(int), 1, len(order))
    thresholds = order[needed - 1]
    ranked_p, ranked_n = np.sort(positives), np.sort(negatives)
    tp = len(ranked_p) - np.searchsorted(ranked_p, thresholds)
    fp = len(ranked_n) - np.searchsorted(ranked_n, thresholds)
    return tp / (tp + fp)


def _list(values: np.ndarray) -> list[float]:
    return [round(float(v), 5) for v in values]
