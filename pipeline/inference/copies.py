"""Slightly changed copies of an image and of its lung mask; none of the changes is disease.

A score that moves much between them, or an answer that changes sides, says that the image lies
where the model is not to be relied upon.
"""

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.explain.overlay import shrink
from pipeline.inference.base_predictor import BasePredictor
from pipeline.inference.diagnosis import Diagnosis
from pipeline.inference.stability import Stability

COPIES = ("compressed", "shrunk", "blurred", "brightened", "turned", "mirrored")
LONGEST_SIDE = 1024  # what the copies are made of: four times what the models see
MARGIN = 3  # pixels of a mask of 256 rows


def _blurred(sigma: float) -> Callable:
    return lambda film: cv2.GaussianBlur(film, (0, 0), sigma * film.shape[0] / 256)


def _shrunk(share: float) -> Callable:
    def change(film):
        small = cv2.resize(film, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, film.shape[::-1], interpolation=cv2.INTER_CUBIC)

    return change


def _compressed(quality: int) -> Callable:
    def change(film):
        levels = np.rint(film).astype(np.uint8)
        coded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32)

    return change


def _turned(degrees: float) -> Callable:
    def change(film):
        rows, columns = film.shape
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
        return cv2.warpAffine(film, turn, (columns, rows), borderMode=cv2.BORDER_REPLICATE)

    return change


def _sharpened(film: np.ndarray) -> np.ndarray:
    return film + 0.8 * (film - cv2.GaussianBlur(film, (0, 0), film.shape[0] / 256))


def _brightened(gamma: float) -> Callable:
    return lambda film: 255 * (film / 255) ** np.float32(gamma)


# Lengths are in pixels of a film of 256 rows.
CHANGES = {
    "none": lambda film: film,
    "mirrored": lambda film: np.ascontiguousarray(film[:, ::-1]),
    "blurred": _blurred(0.7),
    "sharpened": _sharpened,
    "shrunk": _shrunk(0.75),
    "compressed": _compressed(60),
    "turned": _turned(3),
    "brightened": _brightened(0.7),
}
# What is done to the lung mask of a classifier that is shown the lungs alone.
MASKS = {"mask_grown": cv2.dilate, "mask_shrunk": cv2.erode}


def moved(lungs: np.ndarray, change: Callable) -> np.ndarray:
    """A mask, bool (rows, columns), grown or shrunk by `MARGIN`, as uint8, 1 inside."""
    side = 2 * max(1, round(MARGIN * len(lungs) / 256)) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return change(lungs.astype(np.uint8), brush)


def stability_of(diagnosis: Diagnosis, predictor: BasePredictor) -> Stability:
    """Ask a model about `COPIES` of an image, and with its lung mask grown and shrunk.

    One pass of the U-Net over the copies, one of the classifier over all eight. ``predictor``: the
    one that gave the diagnosis; raises ValueError for another, or for one that is shown the whole
    image, whose score no lung mask moves.
    """
    if predictor.entry.name != diagnosis.model or not predictor.architecture.masked:
        raise ValueError(f"no lung mask of {diagnosis.model} to move in {predictor.entry.name}")
    image = shrink(diagnosis.radiograph.pixels, LONGEST_SIDE)
    copies = np.stack([CHANGES[name](image).clip(0, 255) for name in COPIES]).astype(np.float32)
    probabilities, _context = predictor.look(copies)
    levels = predictor.levels(np.concatenate([copies, image[None]]))
    masks = [*(probabilities > 0.5)]
    masks += [moved(diagnosis.answer.mask > 0.5, change) > 0 for change in MASKS.values()]
    seen = [*levels[:-1], *[levels[-1]] * len(MASKS)]
    shown = [cv2.equalizeHist(film * mask) for film, mask in zip(seen, masks, strict=True)]
    scores = predictor.classify(np.stack(shown).astype(np.float32) / np.float32(255))
    names = (*COPIES, *MASKS)
    return Stability(diagnosis.score, dict(zip(names, map(float, scores), strict=True)))
