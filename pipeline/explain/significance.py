"""Does an image's heatmap say more than chance? Deleting its hottest cells against random ones."""

from collections.abc import Callable

import cv2
import numpy as np

DRAWS = 39  # the smallest p-value is then 1 / 40
BATCH = 20
SHARE = 0.2  # of the lungs' cells, which are deleted
SIGNIFICANT = 0.05
BLUR = 1 / 16  # of the image's side


def heatmap_p(
    equalised: np.ndarray,
    lungs: np.ndarray,
    raw: np.ndarray,
    stride: float,
    offset: float,
    classify: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
) -> float:
    """Permutation p-value of a raw map, 1/40..1: small where it found what the score rests on.

    The hottest fifth of the cells that lie in the lungs is deleted, and so are `DRAWS` times as
    many cells of the lungs drawn at random. The p-value is the share of all deletions that lower
    the COVID score at least as much as that of the hottest cells. A map that is empty inside the
    lungs has a p-value of 1.

    ``equalised``: float32 (rows, columns), what the classifier was shown; ``lungs``: bool of its
    shape. ``raw``: a map of `pipeline.explain.gradcam.raw_map`, whose cell (i, j) looks at pixel
    (offset + stride i, offset + stride j). ``classify``: COVID scores, (image,), of images like
    ``equalised``, (image, rows, columns).
    """
    cell = np.where(lungs, _cells(lungs.shape, raw.shape, stride, offset), -1)
    inside = np.unique(cell[cell >= 0])
    if not len(inside) or not raw.ravel()[inside].any():
        return 1.0
    rng = np.random.default_rng(seed)
    count = max(1, round(SHARE * len(inside)))
    hottest = inside[np.argsort(-raw.ravel()[inside], kind="stable")[:count]]
    deleted = [hottest, *(rng.choice(inside, count, replace=False) for _ in range(DRAWS))]
    blurred = delete_into(equalised, lungs)
    gone = np.zeros((len(deleted), raw.size + 1), bool)  # the last stands for pixels of no cell
    for row, cells in zip(gone, deleted, strict=True):
        row[cells] = True
    shown = np.where(gone[:, cell], blurred, equalised)
    batches = [classify(shown[i : i + BATCH]) for i in range(0, len(shown), BATCH)]
    scores = np.concatenate(batches)
    return float(np.mean(scores <= scores[0]))


def delete_into(image: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """What deleted pixels become: the lungs, blurred until nothing is left of their texture.

    ``image``: float32 (rows, columns), equalised; ``lungs``: bool of its shape.
    """
    return cv2.GaussianBlur(image, (0, 0), BLUR * len(image)) * lungs


def _cells(
    shape: tuple[int, ...], cells: tuple[int, ...], stride: float, offset: float
) -> np.ndarray:
    """The number of the cell that looks at each pixel, row by row; -1 beyond the outermost."""
    rows, columns = (np.rint((np.arange(side) - offset) / stride).astype(int) for side in shape)
    number = rows[:, None] * cells[1] + columns[None]
    known = [(at >= 0) & (at < count) for at, count in zip((rows, columns), cells, strict=True)]
    return np.where(known[0][:, None] & known[1][None], number, -1)
