"""Is this a frontal chest radiograph that the models may score?

The verdict rests on the lung mask and on the whole image. A network trained on chest radiographs
finds two lungs of plausible size, shape and place on them, and rarely on anything else; a slice of
a chest CT is the exception, so that `pipeline.quality.detector` asks what the image looks like as a
whole. What is plausible stands in ``registry.json`` under ``gate``, set by
``python -m pipeline.release.publish gate`` from validation images:

``limits``: [low, high] of each of `MEASURES`. ``shape``: the usual pair of lungs, see
`read_shape`. ``ordinary``: mean and inverse covariance of `TOGETHER`, see `distance`.
``detector``: file and sha256 of the detector; a gate without one judges the mask alone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pipeline.io.radiograph import Radiograph
from pipeline.text.messages import Message

if TYPE_CHECKING:
    from pipeline.quality.detector import Gate

LATERAL = ("LL", "RL", "LATERAL", "LLO", "RLO", "LAT", "OBLIQUE")
CHEST = ("", "CHEST", "THORAX", "LUNG", "PORT CHEST", "CHEST PORT", "TORAX")


@dataclass(frozen=True)
class LungStatistics:
    """Numbers that tell a pair of lungs from anything else; fractions are 0..1.

    ``area``: lung pixels over all pixels. ``two_largest``: share of the mask in its two largest
    connected parts. ``symmetry``: smaller over larger of the two lungs. ``beside``: distance of
    their centres along the columns over the distance itself; 1 is exactly side by side.
    ``border``: share of the mask's outline that lies on the image's border. ``entropy``: binary
    entropy of the lung probability, bits, summed and divided by the mask's outline in pixels.
    ``brightness``: mean equalised level inside minus in a ring around the lungs, -1..1. ``spread``:
    standard deviation of the image, in levels of 0..255. ``proportion``: height over width of the
    two largest parts together, in the image's own pixels. ``cut``: share of their width that lies
    on the image's upper or lower border. ``shape``: what they fill of their bounding box, float32
    `SHAPE` in 0..1.
    """

    area: float
    two_largest: float
    symmetry: float
    beside: float
    border: float
    entropy: float
    brightness: float
    spread: float
    proportion: float
    cut: float
    shape: np.ndarray = field(compare=False, repr=False)


@dataclass(frozen=True)
class Verdict:
    """Whether a score may be given, and if not, why."""

    reasons: tuple[Message, ...] = ()
    statistics: LungStatistics | None = None

    @property
    def may_score(self) -> bool:
        return not self.reasons


def judge(
    radiograph: Radiograph,
    probability: np.ndarray,
    gate: "Gate",
    context: np.ndarray | None = None,
) -> Verdict:
    """Judge one image from its lung probability, float32 (rows, columns) in 0..1, and its context.

    ``gate``: see `pipeline.quality.detector.read_gate`. ``context``: float32 (n,), the graph's
    output; without it the mask alone is judged. Each of `MEASURES` outside its limits gives a
    reason.
    """
    statistics = lung_statistics(radiograph.pixels, probability)
    measures = measure(statistics, gate, context)
    reasons = list(_said_by_the_file(radiograph))
    if _outside(measures, gate, "spread"):
        reasons.append(Message("blank"))
        return Verdict(tuple(reasons), statistics)
    if any(_outside(measures, gate, name) for name in WHOLE):
        reasons.append(Message(UNLIKE))
    for name, code in LUNGS.items():
        if _outside(measures, gate, name):
            low, high = gate["limits"][name]
            reasons.append(Message(code, _percents(value=measures[name], low=low, high=high)))
    return Verdict(tuple(reasons), statistics)


LUNGS = {
    "area": "lung_area",
    "two_largest": "lung_components",
    "symmetry": "lung_symmetry",
    "beside": "lung_position",
    "border": "lung_border",
    "cut": "lung_cut",
    "entropy": "lung_uncertain",
    "brightness": "lung_brightness",
    "distance": "lung_unusual",
}
WHOLE = ("resemblance", "strangeness")  # of the detector, both said as one reason
UNLIKE = "unlike_chest"
REASONS = LUNGS | dict.fromkeys(WHOLE, UNLIKE)
MEASURES = (*REASONS, "spread")
# What `distance` takes together; the logarithm of a ratio or an amount is the more even.
TOGETHER = ("area", "symmetry", "entropy", "brightness", "likeness", "proportion")
LOGARITHMS = ("area", "symmetry", "entropy", "proportion")
SHAPE = (16, 16)
FAR = 1e9  # the distance of an image without lungs


def _outside(measures: dict[str, float], gate: "Gate", name: str) -> bool:
    if name not in measures:
        return False
    low, high = gate["limits"][name]
    return not low <= measures[name] <= high


def passes(measures: dict[str, float], gate: "Gate") -> bool:
    """Whether every measure that was taken lies within its limits."""
    return not any(_outside(measures, gate, name) for name in MEASURES)


def measure(
    statistics: LungStatistics, gate: "Gate", context: np.ndarray | None = None
) -> dict[str, float]:
    """Every number of the statistics, with ``likeness`` and ``distance`` to ordinary images.

    With `WHOLE` where there are a detector and a context, float32 (n,).
    """
    values = {k: v for k, v in asdict(statistics).items() if k != "shape"}
    values["likeness"] = likeness(statistics.shape, read_shape(gate["shape"]))
    values["distance"] = distance(values, gate["ordinary"]) if statistics.area else FAR
    if context is not None and "detector" in gate:
        values |= gate["detector"].measure(context)
    return values


def read_shape(rows: list[str]) -> np.ndarray:
    """The usual pair of lungs from `SHAPE` digits, float32: 9 nearly always lung, 0 never."""
    return np.array([list(row) for row in rows], np.float32) / 9


def write_shape(shape: np.ndarray) -> list[str]:
    """What `read_shape` reads, of a float32 `SHAPE` in 0..1."""
    return ["".join(str(round(9 * float(v))) for v in row) for row in shape]


def likeness(shape: np.ndarray, usual: np.ndarray) -> float:
    """Correlation of a pair of lungs with the usual pair, -1..1; 0 where there is none."""
    a, b = shape - shape.mean(), usual - usual.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length else 0.0


def together(values: dict[str, float]) -> np.ndarray:
    """`TOGETHER` as float64 (measure,), those of `LOGARITHMS` as logarithms."""
    return np.array([np.log(values[n] + 1e-3) if n in LOGARITHMS else values[n] for n in TOGETHER])


def distance(values: dict[str, float], ordinary: dict[str, Any]) -> float:
    """How far an image's lungs lie from those of ordinary images, in standard deviations.

    Mahalanobis's distance (1936) over `TOGETHER`: an image that is somewhat odd in several ways at
    once is far, also where no single measure is beyond its limits.
    """
    step = together(values) - np.array(ordinary["mean"])
    return float(np.sqrt(max(step @ np.array(ordinary["inverse_covariance"]) @ step, 0.0)))


def lung_statistics(image: np.ndarray, probability: np.ndarray) -> LungStatistics:
    """Measure the lung mask of an image; both float32 (rows, columns), any sizes."""
    mask = (probability > 0.5).astype(np.uint8)
    area = int(mask.sum())
    spread = float(image.std())
    if not area:
        nothing = np.zeros(SHAPE, np.float32)
        return LungStatistics(0, 0, 0, 0, 0, float("inf"), 0, spread, 0, 0, nothing)
    _, labels, sizes, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    order = np.argsort(-sizes[1:, cv2.CC_STAT_AREA])[:2] + 1
    areas = sizes[order, cv2.CC_STAT_AREA]
    symmetry = float(areas[1] / areas[0]) if len(areas) == 2 else 0.0
    step = np.subtract(*centres[order]) if len(order) == 2 else np.zeros(2)
    apart = float(np.hypot(*step))
    outline = mask - cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0)
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    p = probability.clip(1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return LungStatistics(
        area=area / mask.size,
        two_largest=float(areas.sum() / area),
        symmetry=symmetry,
        beside=float(abs(step[0]) / apart) if apart else 0.0,
        border=float(edge.sum() / outline.sum()),
        entropy=float(entropy.sum() / outline.sum()),
        brightness=_brightness(image, mask),
        spread=spread,
        **_pair(np.isin(labels, order), image.shape),
    )


def _pair(lungs: np.ndarray, image: tuple[int, ...]) -> dict[str, Any]:
    """Proportion, cut and shape of the lungs, bool (rows, columns), of an image of another size."""
    rows, columns = (np.flatnonzero(lungs.any(axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    box = lungs[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    ends = max(lungs[:BORDER].any(0).sum(), lungs[-BORDER:].any(0).sum())
    stretch = (image[0] / lungs.shape[0]) / (image[1] / lungs.shape[1])
    return {
        "proportion": float(height / width * stretch),
        "cut": float(ends / width),
        "shape": cv2.resize(box, SHAPE[::-1], interpolation=cv2.INTER_AREA),
    }


BORDER = 3  # rows: a mask often ends just short of the image


def _brightness(image: np.ndarray, mask: np.ndarray) -> float:
    small = cv2.resize(image, mask.shape[::-1], interpolation=cv2.INTER_AREA)
    levels = cv2.equalizeHist(small.clip(0, 255).astype(np.uint8)) / 255
    reach = max(3, mask.shape[0] // 16) | 1
    ring = cv2.dilate(mask, np.ones((reach, reach), np.uint8)) - mask
    if not ring.any():
        return 0.0
    return float(levels[mask > 0].mean() - levels[ring > 0].mean())


def _said_by_the_file(radiograph: Radiograph) -> Iterator[Message]:
    if radiograph.projection in LATERAL:
        yield Message("not_frontal", {"projection": radiograph.projection})
    if radiograph.body_part not in CHEST:
        yield Message("not_chest", {"body_part": radiograph.body_part})


def _percents(value: float, low: float, high: float) -> dict[str, str]:
    """As texts, with a decimal where the value would else look like the limit that it passed."""
    values = {"value": value, "low": low, "high": high}
    texts = {name: f"{share:.0%}" for name, share in values.items()}
    if texts["value"] in (texts["low"], texts["high"]):
        texts = {name: f"{share:.1%}" for name, share in values.items()}
    return texts
