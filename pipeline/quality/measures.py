"""How large the lungs of a frontal radiograph are, from their mask.

Nothing here sees the heart: its width is what the two lungs leave between them, and the
cardiothoracic ratio (Danzer 1919) is estimated from that. It holds for an upright PA image in full
inspiration; AP and supine images show the heart larger, and an effusion or a collapse that the mask
leaves out moves it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.io.spacing import Spacing

SIDE = 512  # pixels of the longer side at which the outline is measured
SMALLEST = 0.25  # of the larger lung's area that the other must have
UPPER = 0.45  # share of the lungs' height below which the heart is looked for

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LungMeasures:
    """Of the patient's right and left lung. Lengths in mm and areas in cm², None without spacing.

    ``at``: where the lengths hold, see `pipeline.io.spacing`; ``heart_width``: the widest that the
    lungs leave between them above the diaphragm; ``thorax_width``: from one lung's outer border to
    the other's, at its widest; ``cardiothoracic_ratio``: the first over the second.
    """

    right_height: float | None = None
    left_height: float | None = None
    right_width: float | None = None
    left_width: float | None = None
    right_area: float | None = None
    left_area: float | None = None
    thorax_width: float | None = None
    heart_width: float | None = None
    cardiothoracic_ratio: float | None = None
    at: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """By name; lengths and areas with one decimal, the ratio with three."""
        return {
            name: round(value, 3 if name == "cardiothoracic_ratio" else 1)
            if isinstance(value, float)
            else value
            for name, value in asdict(self).items()
        }


def lung_measures(
    probability: npt.NDArray[np.float32], shape: tuple[int, int], spacing: Spacing | None
) -> LungMeasures | None:
    """Measure a lung probability, float32 (rows, columns) in 0..1, of an image of ``shape``.

    ``spacing``: of the image's pixels; without it they count as square, and the ratio alone is
    given. None where there are no two lungs side by side.
    """
    mask, zoom = _at_size(probability, shape)
    lungs = _two_lungs(mask)
    if lungs is None:
        return None
    rows, columns = (spacing.rows, spacing.columns) if spacing else (1.0, 1.0)
    step = rows / zoom[0], columns / zoom[1]  # mm, or the image's pixels, of the mask's
    thorax, heart = _widths(*lungs)
    ratio = heart / thorax if heart is not None else None
    if spacing is None:
        return LungMeasures(cardiothoracic_ratio=ratio)
    (right, left) = (_extent(lung, step) for lung in lungs)
    return LungMeasures(
        right_height=right[0],
        left_height=left[0],
        right_width=right[1],
        left_width=left[1],
        right_area=right[2],
        left_area=left[2],
        thorax_width=thorax * step[1],
        heart_width=None if heart is None else heart * step[1],
        cardiothoracic_ratio=ratio,
        at=spacing.at,
    )


def _at_size(
    probability: npt.NDArray[np.float32], shape: tuple[int, int]
) -> tuple[Mask, tuple[float, float]]:
    """The mask in the image's proportions, and its pixels per pixel of the image."""
    scale = SIDE / max(shape)
    rows, columns = (max(1, round(side * scale)) for side in shape)
    fine = cv2.resize(probability, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return fine > 0.5, (rows / shape[0], columns / shape[1])


def _two_lungs(mask: Mask) -> tuple[Mask, Mask] | None:
    """The patient's right lung, which lies on the left of the image, and the left one."""
    _, labels, sizes, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    order = np.argsort(-sizes[1:, cv2.CC_STAT_AREA])[:2] + 1
    if len(order) < 2:
        return None
    areas = sizes[order, cv2.CC_STAT_AREA]
    if areas[1] < SMALLEST * areas[0]:
        return None
    right, left = sorted(order, key=lambda label: float(centres[label][0]))
    return labels == right, labels == left


def _extent(lung: Mask, step: tuple[float, float]) -> tuple[float, float, float]:
    """Height and width in mm, area in cm²."""
    height, width = (np.ptp(np.flatnonzero(lung.any(axis))) + 1 for axis in (1, 0))
    area = float(lung.sum()) * step[0] * step[1] / 100
    return float(height) * step[0], float(width) * step[1], area


def _widths(right: Mask, left: Mask) -> tuple[float, float | None]:
    """Of thorax and heart, in columns; no heart where the lungs touch or lie one above the other.

    The heart's right border is the right lung's inner one where it comes furthest to the outside,
    its left border the left lung's, each between half-way down and the dome of the diaphragm.
    """
    columns = np.arange(right.shape[1])
    both = np.flatnonzero(right.any(1) & left.any(1))
    if not len(both):
        return float(np.ptp(np.flatnonzero((right | left).any(0))) + 1), None
    outer_right = np.array([columns[right[row]][0] for row in both])
    outer_left = np.array([columns[left[row]][-1] for row in both])
    thorax = float((outer_left - outer_right).max() + 1)
    first = both[0] + UPPER * (both[-1] - both[0])
    inner_right = [columns[right[row]][-1] for row in both if first <= row <= _dome(right)]
    inner_left = [columns[left[row]][0] for row in both if first <= row <= _dome(left)]
    if not inner_right or not inner_left:
        return thorax, None
    heart = float(max(inner_left) - min(inner_right) - 1)
    return thorax, heart if 0 < heart < thorax else None


def _dome(lung: Mask) -> int:
    """The row of the diaphragm's dome: where the columns of the lung's middle third end, mostly.

    Of 60 normal radiographs' masks the ratio then is 0.46 on average (standard deviation 0.06), as
    of adults; with the highest end 0.36, with the lowest 0.60.
    """
    across = np.flatnonzero(lung.any(0))
    third = len(across) // 3
    middle = across[third : len(across) - third]
    last = lung.shape[0] - 1 - np.argmax(lung[::-1, middle], axis=0)
    return int(np.median(last))
