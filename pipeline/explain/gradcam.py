"""The Grad-CAM family, from a feature map and the gradient of the evidence on it.

The methods of `METHODS` take ``features`` A and ``gradient`` G = dE/dA, float32 (rows, columns,
channels), and return a raw map, float32 (rows, columns), never negative and never divided by its
own maximum.

The evidence is ``E = -log(1 - p)`` with p the COVID probability. It grows like the log-odds where
the model says COVID and its gradient vanishes like p where it does not: an image without COVID
shows an empty map, and one that is surely COVID does not lose its map to a saturated softmax.

With global max pooling G has one non-zero pixel per channel. `gradcam` and `gradcam++` spread that
pixel's weight over the channel's whole activation; `hirescam` and `layercam` keep it where it is.
`CELLWISE` asks another question, without a gradient: what would the head say if the image consisted
of this cell alone? Its map is that evidence beyond the evidence of no activation at all, and does
not depend on which cell happened to hold the maximum.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np


def gradcam(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Channels weighted by their mean gradient (Selvaraju et al. 2017, eq. 1 and 2)."""
    return np.maximum(features @ gradient.mean(axis=(0, 1)), 0)


def gradcam_plus_plus(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Channels weighted by positive gradients under second-order weights.

    Chattopadhay et al. 2018, eq. 19: with an exponential score the second and third derivatives are
    powers of the gradient. Negative gradients are clipped at 0.
    """
    second, third = gradient**2, gradient**3
    below = 2 * second + features.sum(axis=(0, 1)) * third
    alpha = np.divide(second, below, out=np.zeros_like(second), where=below != 0)
    weights = (alpha * np.maximum(gradient, 0)).sum(axis=(0, 1))
    return np.maximum(features @ weights, 0)


def hirescam(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Each pixel's own share of the evidence (Draelos and Carin 2020, eq. 4)."""
    return np.maximum((features * gradient).sum(axis=-1), 0)


def layercam(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Activations weighted by their own positive gradient (Jiang et al. 2021, eq. 5 and 6)."""
    return np.maximum((features * np.maximum(gradient, 0)).sum(axis=-1), 0)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "layercam": layercam,
}


CELLWISE = "cellwise"

# As their authors write them; `CELLWISE` is named in the reader's language.
METHOD_NAMES = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
}


def raw_map(method: str, answer: Any) -> np.ndarray:
    """The raw map of a method for an `Answer`: float32 (rows, columns), in units of evidence."""
    if method == CELLWISE:
        return answer.cells
    return METHODS[method](answer.features, answer.gradient)


def methods_for(pooled: bool) -> tuple[str, ...]:
    """Names of the methods that suit a classifier; `CELLWISE` needs a head that pools globally."""
    return (*METHODS, CELLWISE) if pooled else tuple(METHODS)


def place(
    raw: np.ndarray, stride: float, offset: float, size: int, shape: tuple[int, int]
) -> np.ndarray:
    """Lay a raw map over the image it was computed from.

    Cell (i, j) of ``raw`` looks at pixel (offset + stride i, offset + stride j) of the network's
    input of ``size`` x ``size`` pixels. Unpadded convolutions make that differ, by up to 29 of 256
    pixels for the light CNN, from stretching the map over the image. Returns float32 of ``shape``
    (rows, columns) in the raw map's units, linear between cells and 0 far outside them.
    """
    rows, columns = shape
    # Pixel centres: image pixel v lies at (v + 0.5) * size / rows - 0.5 of the network's input.
    scale_r, scale_c = size / rows / stride, size / columns / stride
    shift_r = (0.5 * size / rows - 0.5 - offset) / stride
    shift_c = (0.5 * size / columns - 0.5 - offset) / stride
    return cv2.warpAffine(
        raw.astype(np.float32),
        np.array([[scale_c, 0, shift_c], [0, scale_r, shift_r]]),
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
