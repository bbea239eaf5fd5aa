"""Does the whole image look like a frontal chest radiograph, whatever the lung mask says?

A slice of a chest CT has two dark lungs in a bright chest, and the mask finds them. What else the
image holds tells it apart: the graph's output ``context``, mean and maximum of every channel of the
U-Net's way down, see `pipeline.models.graph`. Two numbers are made of it. ``resemblance``: log odds
of a logistic regression between radiographs and everything else that was at hand.
``strangeness``: how far the image lies from radiographs alone, so that what nobody thought of is
refused, too. Their limits stand with those of the mask, see `pipeline.quality.gate`; the numbers
behind them in the file that ``registry.json`` names under ``gate``, ``detector``.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.models import registry
from pipeline.quality.gate import LUNGS, SHAPE, TOGETHER, WHOLE

# The registry's ``gate``, see `pipeline.quality.gate`, its ``detector`` read.
Gate = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Detector:
    """Arrays of float32; n numbers of a context, k principal axes of those of radiographs.

    ``centre``, ``scale`` (n,): mean and standard deviation of `compress`ed contexts of radiographs.
    ``weights`` (n,) and ``bias`` (): the logistic regression over standardised numbers. ``axes``
    (n, k), ``precision`` (k,): directions in which radiographs differ most, and the inverse
    variance along each; ``rest`` (): the inverse variance along every other direction.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    axes: np.ndarray
    precision: np.ndarray
    rest: np.ndarray

    def measure(self, context: np.ndarray) -> dict[str, float]:
        """``resemblance`` and ``strangeness`` of one image by its context, float32 (n,)."""
        numbers = standardise(context, self.centre, self.scale)
        return {
            "resemblance": float(numbers @ self.weights + self.bias),
            "strangeness": float(strangeness(numbers, self.axes, self.precision, self.rest)),
        }

    def save(self, path: Path) -> None:
        """Write what `read_detector` reads."""
        arrays: dict[str, Any] = {name: np.float32(v) for name, v in asdict(self).items()}
        np.savez(path, **arrays)


def compress(context: np.ndarray) -> np.ndarray:
    """Contexts with their long tails drawn in: the logarithm of 1 + size, the sign kept."""
    return np.sign(context) * np.log1p(np.abs(context))


def standardise(context: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Contexts (..., n) in standard deviations of radiographs."""
    return (compress(context) - centre) / scale


def strangeness(
    numbers: np.ndarray, axes: np.ndarray, precision: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """Root mean square distance of standardised contexts (..., n) from the radiographs', (...).

    Mahalanobis's distance under the Gaussian of probabilistic principal components (Tipping and
    Bishop 1999), divided by the root of n: 1 is ordinary.
    """
    along = numbers @ axes
    beside = (numbers**2).sum(-1) - (along**2).sum(-1)
    squared = (along**2 * precision).sum(-1) + beside * rest
    return np.sqrt(np.maximum(squared, 0) / numbers.shape[-1])


def read_gate(folder: Path | None = None) -> Gate:
    """The registry's gate, its ``detector``, where there is one, as a `Detector`.

    Raises WeightsError where the detector's file is missing or not that of the registry, or where
    the gate lacks a measure.
    """
    folder = folder or registry.weights_folder()
    gate = dict(registry.read_registry(folder)["gate"])
    if not _is_complete(gate):
        raise registry.WeightsError("weights_registry", file="registry.json")
    if "detector" in gate:
        file = folder / gate["detector"]["file"]
        registry.check_file(file, gate["detector"]["sha256"])
        gate["detector"] = _read(file, gate["detector"]["sha256"])
    return gate


def _is_complete(gate: dict[str, Any]) -> bool:
    """Whether it has limits for every measure, and arrays of the right shapes."""
    measures = {*LUNGS, "spread"} | ({*WHOLE} if "detector" in gate else set())
    ordinary, n = gate["ordinary"], len(TOGETHER)
    sizes = [len(ordinary["mean"]), *map(len, ordinary["inverse_covariance"])]
    return (
        measures <= gate["limits"].keys()
        and [len(row) for row in gate["shape"]] == [SHAPE[1]] * SHAPE[0]
        and sizes == [n] * (n + 1)
    )


@lru_cache(maxsize=4)
def _read(file: Path, _sha256: str) -> Detector:
    with np.load(file, allow_pickle=False) as arrays:
        return Detector(**arrays)
