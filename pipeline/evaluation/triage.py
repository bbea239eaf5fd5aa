"""Three answers instead of two, with a bound on how often an answer is wrong.

From the upper limit on an image is called "likely", below the lower one "unlikely", and between
them "uncertain". The limits answer as many images as they can while calibration images show that
the share of wrong answers stays below a rate: selective risk control by learn then test (Geifman
and El-Yaniv 2017; Angelopoulos et al. 2021), with exact binomial p-values.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from pipeline.evaluation.calibration import logit
from pipeline.evaluation.estimates import Result, proportion
from pipeline.models.triage import ANSWERS, LIKELY, UNLIKELY, TriageLimits

RATES, CONFIDENCE = (0.05, 0.10, 0.15), 0.95
RATE = RATES[0]
STEPS = 20


def choose_limits_and_rate(
    truth: ArrayLike,
    score: ArrayLike,
    cells: Sequence[Hashable],
    threshold: float,
    rates: Sequence[float] = RATES,
    confidence: float = CONFIDENCE,
) -> TriageLimits:
    """`choose_limits` at the lowest of ``rates`` that the images show to be kept, the last if none.

    All rates share the chance of a false promise (Bonferroni).
    """
    level = 1 - (1 - confidence) / len(rates)
    for rate in rates:
        limits = choose_limits(truth, score, cells, threshold, rate, level)
        if limits.low is not None:
            break
    return replace(limits, confidence=confidence)


def choose_limits(
    truth: ArrayLike,
    score: ArrayLike,
    cells: Sequence[Hashable],
    threshold: float,
    rate: float = RATE,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> TriageLimits:
    """Limits from validation images.

    ``truth``: bool (image,), True where COVID; ``score``: float (image,) in 0..1; ``cells``: which
    part of the mixture each image belongs to, such as (scale, class). As many images are drawn of
    each cell as the smallest has, ``n`` in all: the guarantee is for a mixture in which all cells
    are alike.

    With at least ``confidence``, the share of wrong ones among images that are called likely or
    unlikely is at most ``rate``, for images drawn independently from that mixture. Both limits lie
    as far from ``threshold`` in log-odds; they are None where the images do not show that any
    limits keep the rate.
    """
    chosen = _draw_alike(cells, np.random.default_rng(seed))
    drawn = np.asarray(score, np.float64)[chosen]
    away = logit(drawn) - logit(threshold)
    wrong = (drawn >= threshold) != np.asarray(truth, bool)[chosen]
    distance = _least_distance(np.abs(away), wrong, rate, 1 - confidence)
    low, high = None, None
    if distance is not None:
        at = 1 / (1 + np.exp(-(logit(threshold) + np.array([-distance, distance]))))
        low, high = float(at[0]), float(at[1])
    return TriageLimits(low, high, rate, confidence, len(chosen))


def _draw_alike(cells: Sequence[Hashable], rng: np.random.Generator) -> np.ndarray:
    """Numbers of images, as many of each cell as the smallest has: int64 (image,)."""
    members: dict[Hashable, list[int]] = {}
    for i, cell in enumerate(cells):
        members.setdefault(cell, []).append(i)
    count = min(map(len, members.values()))
    drawn = [rng.permutation(members[cell])[:count] for cell in sorted(members, key=repr)]
    return np.sort(np.concatenate(drawn))


def _least_distance(
    distance: np.ndarray, wrong: np.ndarray, rate: float, level: float
) -> float | None:
    """The least distance from which on the share of wrong ones is shown to be below the rate.

    ``distance``: float (image,), greatest where the model is surest. `STEPS` limits, each with a
    larger share of the images, are tested one after the other by the fallback procedure (Wiens
    2003), which keeps the chance of any false limit below ``level``: each has its part of the
    level, and the whole level of the one before it where that one passed. Where the limits lie
    rests on the scores alone.
    """
    best, passed = None, 0.0
    for share in np.arange(1, STEPS + 1) / STEPS:
        limit = np.quantile(distance, 1 - share, method="lower")
        answered = distance >= limit
        p = binom.cdf(int(wrong[answered].sum()), int(answered.sum()), rate)
        allowed = passed + level / STEPS
        passed = allowed if p <= allowed else 0.0
        best = float(limit) if passed else best
    return best


def triage_report(truth: ArrayLike, score: ArrayLike, limits: TriageLimits) -> Result:
    """How a set of images is answered, with 95 % intervals.

    ``likely``, ``unlikely``, ``uncertain``: shares of the images; ``wrong``: share of wrong ones
    among those called likely or unlikely; ``wrong_likely`` and ``wrong_unlikely``: among either.
    ``kept``: whether the interval of ``wrong`` begins below the promised rate, None where nothing
    was answered.
    """
    truth = np.asarray(truth, bool)
    said = np.array([limits.answer(s) for s in np.asarray(score)], object)
    likely, unlikely = said == LIKELY, said == UNLIKELY
    failed = (likely & ~truth) | (unlikely & truth)
    wrong = proportion(int(failed.sum()), int((likely | unlikely).sum()))
    return {
        **{name: proportion(int((said == name).sum()), len(said)) for name in ANSWERS},
        "wrong": wrong,
        "wrong_likely": proportion(int((likely & ~truth).sum()), int(likely.sum())),
        "wrong_unlikely": proportion(int((unlikely & truth).sum()), int(unlikely.sum())),
        "kept": None if wrong.low is None else wrong.low <= limits.rate,
    }
