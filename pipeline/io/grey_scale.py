"""Which levels of an image count: a scale that one hot pixel or a burnt-in marker does not set."""

import math

import numpy as np

SAMPLE = 1_000_000  # pixels that are looked at; of larger images every n-th row and column
BINS = 256
SPARSE = 0.002  # a run of levels that holds less than this share of the pixels is a gap
GAP = 0.25  # of the range: shorter gaps are left alone
OUTSIDE = 0.03  # share of the pixels that may lie beyond a gap; a marker covers less


def robust_range(
    values: np.ndarray, padded: np.ndarray | None = None, tails: float = 0.0
) -> tuple[float, float]:
    """Lowest and highest level of an image, (rows, columns), that belong to the image itself.

    Levels beyond a wide gap, which few pixels reach, are left out: defect pixels, burnt-in text,
    borders. Then the share ``tails`` of what is left is cut at either end. ``padded``: bool
    (rows, columns), pixels that are no part of the image.
    """
    step = max(1, math.isqrt(values.size // SAMPLE))
    sample = values[::step, ::step]
    if padded is not None:
        sample = sample[~padded[::step, ::step]]
    levels = np.sort(sample, axis=None)
    if not levels.size:
        return 0.0, 0.0
    count = levels.size
    for _ in range(4):  # marker, border and defects may each have a gap of their own
        kept = _within_gaps(levels, count)
        if kept.size == levels.size:
            break
        levels = kept
    cut = int(tails * levels.size)
    return float(levels[cut]), float(levels[levels.size - 1 - cut])


def _within_gaps(levels: np.ndarray, count: int) -> np.ndarray:
    """The sorted levels without those beyond the widest gap; ``count``: pixels at the start."""
    edges = np.linspace(levels[0], levels[-1], BINS + 1, dtype=np.float64)
    below = np.searchsorted(levels, edges, side="right")
    below[0] = 0
    start, end = _longest_run(below, SPARSE * count)
    if end - start < GAP * BINS:
        return levels
    if levels.size - below[start] <= OUTSIDE * count:
        return levels[: below[start]]
    if below[end] <= OUTSIDE * count:
        return levels[below[end] :]
    return levels


def _longest_run(below: np.ndarray, most: float) -> tuple[int, int]:
    """Edges between which at most so many pixels lie, as far apart as can be."""
    best, start = (0, 0), 0
    for end in range(len(below)):
        while below[end] - below[start] > most:
            start += 1
        if end - start > best[1] - best[0]:
            best = start, end
    return best


def strips(rows: int, columns: int, pixels: int = 1_000_000):
    """The rows of an image in parts of about so many pixels: intermediate results take the most."""
    step = max(1, pixels // columns)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
