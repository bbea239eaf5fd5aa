"""What the quality gate takes for plausible: set from validation images, never test images.

Limits leave a small share of the validation images out. How large that share is for `distance`,
the one rule that looks at everything together, is chosen on pictures that are no radiograph: the
choosing half of `pipeline.evaluation.gate`. The detector is fitted with images of the training part
and other pictures, see `pipeline.data.gate_examples`; its limits are set like those of the mask.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.quality.detector import Detector, Gate, compress, standardise
from pipeline.quality.gate import (
    LUNGS,
    SHAPE,
    TOGETHER,
    WHOLE,
    LungStatistics,
    measure,
    passes,
    together,
    write_shape,
)

# Measures of which only one side is suspicious keep their natural other end.
ENDS: dict[str, tuple[float | None, float | None]] = dict.fromkeys((*LUNGS, "spread"), (None, None))
ENDS |= dict.fromkeys(("two_largest", "symmetry", "beside"), (None, 1.0))
ENDS |= dict.fromkeys(("border", "cut", "entropy", "distance"), (0.0, None))
ENDS |= {"brightness": (-1.0, None), "spread": (None, 128.0)}
# Share of the validation images beyond an end; more for the measure that only cut images have.
TAILS = {"cut": 0.002}
TAIL = 0.0005
DISTANCE_TAILS = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.005)
REFUSED = 0.99  # share of other pictures at which `distance` is strict enough
AXES = 30  # principal axes of the detector
PENALTY = 0.003  # scikit-learn's C: the smaller, the smoother
# Share of the validation radiographs that the detector may refuse by each number.
DETECTOR_TAILS = {"resemblance": 0.005, "strangeness": 0.004}
DETECTOR_MARGIN = 0.02  # of the range of all: other hospitals' images differ more than these do


def open_gate() -> Gate:
    """A gate that lets everything pass, until one is set."""
    nothing = {"mean": [0.0] * len(TOGETHER), "inverse_covariance": np.eye(len(TOGETHER)).tolist()}
    limits = {name: [-1e12, 1e12] for name in ENDS}
    return {"limits": limits, "shape": ["0" * SHAPE[1]] * SHAPE[0], "ordinary": nothing}


def set_gate(images: Sequence[LungStatistics], others: Sequence[LungStatistics]) -> Gate:
    """The gate for the statistics of validation images and of pictures that are none."""
    images = [image for image in images if image.area]
    gate = open_gate() | {"shape": write_shape(np.mean([image.shape for image in images], axis=0))}
    vectors = np.stack([together(measure(image, gate)) for image in images])
    inverse = np.linalg.inv(np.cov(vectors.T))
    gate["ordinary"] = {
        "mean": vectors.mean(0).round(4).tolist(),
        "inverse_covariance": inverse.round(3).tolist(),
    }
    measures = [measure(image, gate) for image in images]
    gate["limits"] = {name: _limits(name, measures, TAILS.get(name, TAIL)) for name in ENDS}
    judged = [measure(other, gate) for other in others]
    for tail in DISTANCE_TAILS:
        gate["limits"]["distance"] = _limits("distance", measures, tail)
        refused = np.mean([not passes(other, gate) for other in judged]) if judged else 0.0
        if refused >= REFUSED:
            break
    passed = np.mean([passes(image, gate) for image in measures])
    print(f"{tail=}: {passed:.2%} of {len(images)} validation images pass,")
    print(f"{refused:.2%} of {len(judged)} other pictures are refused")
    return gate


def fit_detector(contexts: np.ndarray, chest: np.ndarray, groups: np.ndarray) -> Detector:
    """Fit to contexts, float32 (image, n), of radiographs, bool (image,), and other pictures.

    ``groups``: str (image,); a large group counts by the root of its size, so that no source and no
    kind outweighs the rest, and radiographs count as much as everything else together.
    """
    ordinary = compress(contexts[chest])
    centre, scale = ordinary.mean(0), ordinary.std(0) + 1e-3
    numbers = standardise(contexts, centre, scale)
    variances, axes = np.linalg.eigh(np.cov(numbers[chest].T))
    variances, axes = variances[::-1], axes[:, ::-1]
    line = LogisticRegression(C=PENALTY, max_iter=2000)
    line.fit(numbers, chest, sample_weight=_weights(chest, groups))
    return Detector(
        centre=centre,
        scale=scale,
        weights=line.coef_[0],
        bias=line.intercept_[0],
        axes=axes[:, :AXES],
        precision=1 / variances[:AXES],
        rest=1 / variances[AXES:].mean(),
    )


def detector_limits(
    detector: Detector, contexts: np.ndarray, groups: np.ndarray
) -> dict[str, list[float]]:
    """Limits of both numbers over contexts of validation radiographs, (image, n).

    All of them together lose `DETECTOR_TAILS` by ``resemblance``, which is what refuses CT. Every
    group of ``groups``, str (image,), loses at most that by ``strangeness``: nothing, where it is
    small.
    """
    measures = [detector.measure(context) for context in contexts]
    resemblance, strangeness = (np.array([m[name] for m in measures]) for name in WHOLE)
    low = np.quantile(resemblance, DETECTOR_TAILS["resemblance"], method="lower")
    high = max(
        np.quantile(
            strangeness[groups == group], 1 - DETECTOR_TAILS["strangeness"], method="higher"
        )
        for group in np.unique(groups)
    )
    high += DETECTOR_MARGIN * np.ptp(strangeness)
    return {
        "resemblance": [round(float(low), 4), 1e12],
        "strangeness": [0.0, round(float(high), 4)],
    }


def _weights(chest: np.ndarray, groups: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(counts[which])
    for side in (chest, ~chest):
        weights[side] *= len(groups) / 2 / weights[side].sum()
    return weights


def _limits(name: str, measures: list[dict[str, float]], tail: float) -> list[float]:
    values = np.array([row[name] for row in measures])
    first, last = np.quantile(values, (tail, 1 - tail))
    margin = 0.05 * (last - first)  # other hospitals' images differ more than these do
    low, high = ENDS[name]
    return [
        round(float(first - margin), 4) if low is None else low,
        round(float(last + margin), 4) if high is None else high,
    ]
