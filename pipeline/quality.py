"""Is this a frontal chest radiograph that the models may score?

The verdict rests on the lung mask: a network trained on chest films finds two lungs of plausible
size and place on such films, and rarely on anything else. Limits live in ``registry.json``, set by
``python -m pipeline.training.fit_gate`` from validation films.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from pipeline.messages import Message
from pipeline.radiograph import Radiograph

LATERAL = ("LL", "RL", "LATERAL", "LLO", "RLO", "LAT")
CHEST = ("", "CHEST", "THORAX", "LUNG", "PORT CHEST", "CHEST PORT", "TORAX")


@dataclass(frozen=True)
class LungStatistics:
    """Numbers that tell a pair of lungs from anything else; fractions are 0..1.

    ``area``: lung pixels over all pixels. ``two_largest``: share of the mask in its two largest
    connected parts. ``symmetry``: smaller over larger of the two lungs. ``beside``: distance of
    their centres along the columns over the distance itself; 1 is exactly side by side.
    ``border``: share of the mask's outline that lies on the film's border. ``entropy``: binary
    entropy of the lung probability, bits, summed and divided by the mask's outline in pixels.
    ``brightness``: mean equalised level inside minus in a ring around the lungs, -1..1. ``spread``:
    standard deviation of the film, in levels of 0..255.
    """

    area: float
    two_largest: float
    symmetry: float
    beside: float
    border: float
    entropy: float
    brightness: float
    spread: float


@dataclass(frozen=True)
class Verdict:
    """Whether a score may be given, and if not, why."""

    reasons: tuple[Message, ...] = ()
    statistics: LungStatistics | None = None

    @property
    def may_score(self) -> bool:
        return not self.reasons


def judge(radiograph: Radiograph, probability: np.ndarray, limits: dict) -> Verdict:
    """Judge one film from its lung probability, float32 (rows, columns) in 0..1.

    ``limits`` maps a statistic's name to [low, high]; a statistic outside gives a reason.
    """
    statistics = lung_statistics(radiograph.pixels, probability)
    reasons = list(_said_by_the_file(radiograph))
    if outside(statistics, limits, "spread"):
        reasons.append(Message("blank"))
        return Verdict(tuple(reasons), statistics)
    if outside(statistics, limits, "brightness"):
        reasons.append(Message("inverted"))
    for name, code in REASONS.items():
        if outside(statistics, limits, name):
            low, high = limits[name]
            value = getattr(statistics, name)
            reasons.append(Message(code, _percents(value=value, low=low, high=high)))
    return Verdict(tuple(reasons), statistics)


REASONS = {
    "area": "lung_area",
    "two_largest": "lung_components",
    "symmetry": "lung_symmetry",
    "beside": "lung_position",
    "border": "lung_border",
    "entropy": "lung_uncertain",
}


def outside(statistics: LungStatistics, limits: dict, name: str) -> bool:
    """Whether a statistic lies outside its limits."""
    low, high = limits[name]
    return not low <= asdict(statistics)[name] <= high


def lung_statistics(film: np.ndarray, probability: np.ndarray) -> LungStatistics:
    """Measure the lung mask of a film; both float32 (rows, columns), any sizes."""
    mask = (probability > 0.5).astype(np.uint8)
    area = int(mask.sum())
    spread = float(film.std())
    if not area:
        return LungStatistics(0, 0, 0, 0, 0, float("inf"), 0, spread)
    _, _, sizes, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    order = np.argsort(-sizes[1:, cv2.CC_STAT_AREA])[:2] + 1
    areas = sizes[order, cv2.CC_STAT_AREA]
    symmetry = float(areas[1] / areas[0]) if len(areas) == 2 else 0.0
    step = np.subtract(*centres[order]) if len(order) == 2 else np.zeros(2)
    distance = float(np.hypot(*step))
    outline = mask - cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0)
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    p = probability.clip(1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return LungStatistics(
        area=area / mask.size,
        two_largest=float(areas.sum() / area),
        symmetry=symmetry,
        beside=float(abs(step[0]) / distance) if distance else 0.0,
        border=float(edge.sum() / outline.sum()),
        entropy=float(entropy.sum() / outline.sum()),
        brightness=_brightness(film, mask),
        spread=spread,
    )


def _brightness(film: np.ndarray, mask: np.ndarray) -> float:
    small = cv2.resize(film, mask.shape[::-1], interpolation=cv2.INTER_AREA)
    levels = cv2.equalizeHist(small.clip(0, 255).astype(np.uint8)) / 255
    reach = max(3, mask.shape[0] // 16) | 1
    ring = cv2.dilate(mask, np.ones((reach, reach), np.uint8)) - mask
    if not ring.any():
        return 0.0
    return float(levels[mask > 0].mean() - levels[ring > 0].mean())


def _said_by_the_file(radiograph: Radiograph):
    if radiograph.projection in LATERAL:
        yield Message("not_frontal", {"projection": radiograph.projection})
    if radiograph.body_part not in CHEST:
        yield Message("not_chest", {"body_part": radiograph.body_part})


def _percents(**values: float) -> dict:
    return {name: f"{value:.0%}" for name, value in values.items()}
