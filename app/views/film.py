"""Films, outlines and heatmaps as the viewer takes them, at the size that a screen shows."""

import base64
from functools import cache
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from matplotlib import colormaps

from pipeline.evaluation.estimates import mask_agreement
from pipeline.explain.overlay import COLOUR_MAP, shrink
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.radiograph import Radiograph

LONGEST_SIDE = 1024
HEAT_SIDE = 256
DIFFERENCE_MAP = "vanimo"  # dark in the middle: no difference lets the film through


_PNGS: WeakKeyDictionary[Radiograph, bytes] = WeakKeyDictionary()


def film_png(radiograph: Radiograph) -> bytes:
    """A film as a grey PNG, encoded once for as long as the film is held."""
    if radiograph not in _PNGS:
        film = shrink(radiograph.pixels, LONGEST_SIDE)
        _PNGS[radiograph] = _png(film.clip(0, 255).astype(np.uint8))
    return _PNGS[radiograph]


def film_url(radiograph: Radiograph) -> str:
    """A film as a data URL of a grey PNG."""
    return _url(film_png(radiograph))


def outlines(diagnosis: Diagnosis) -> list[list[float]]:
    """Outlines of the predicted lungs: x, y, x, y, ... in 0..1 of the film's width and height."""
    scale = 4  # finer than the network's pixels, so that the outline is smooth
    fine = cv2.resize(diagnosis.answer.mask_probability, None, fx=scale, fy=scale)
    return _contours((fine > 0.5).astype(np.uint8))


def heat_url(diagnosis: Diagnosis, cam: str, full_scale: float | None = None) -> str:
    """A method's map over 0..``full_scale`` as a data URL of a grey PNG, 0..255.

    ``full_scale``: the raw value that fills the colour scale; by default the model's own, which is
    the same for all images.
    """
    strength = _strength(diagnosis, cam, full_scale)
    return _url(_png(np.rint(strength * 255).astype(np.uint8)))


def own_scale(diagnosis: Diagnosis, cam: str) -> float:
    """The largest raw value of a method's map inside the lungs, or 0 where it has no evidence."""
    heat, lungs = _heat_and_lungs(diagnosis, cam)
    return float(max(0.0, heat[lungs].max(initial=0.0)))


def hottest(diagnosis: Diagnosis, cam: str) -> list[list[float]]:
    """Outlines, as `outlines`, of the tenth of the lungs where a method's map is hottest.

    Empty where the map has no evidence at all.
    """
    heat, lungs = _heat_and_lungs(diagnosis, cam)
    if not lungs.any() or heat[lungs].max() <= 0:
        return []
    level = max(float(np.quantile(heat[lungs], 0.9)), 1e-9)
    return _contours((np.where(lungs, heat, 0) >= level).astype(np.uint8))


def _heat_and_lungs(diagnosis: Diagnosis, cam: str) -> tuple[np.ndarray, np.ndarray]:
    shape = _heat_shape(diagnosis)
    probability = cv2.resize(diagnosis.answer.mask_probability, shape[::-1])
    return diagnosis.heatmap(cam, shape), probability > 0.5


def _contours(mask: np.ndarray) -> list[list[float]]:
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    size = np.array(mask.shape[::-1])
    return [((c[:, 0] + 0.5) / size).round(4).ravel().tolist() for c in found]


def difference_url(first: Diagnosis, second: Diagnosis) -> str:
    """First map minus second, each by its default method on its own scale; 128 is no difference."""
    change = _strength(first, first.cam) - _strength(second, second.cam)
    return _url(_png(np.rint(128 + 127 * change).clip(0, 255).astype(np.uint8)))


def mask_overlap(first: Diagnosis, second: Diagnosis) -> float:
    """Dice of the lung masks of two answers on one film."""
    shape = first.answer.mask.shape
    other = cv2.resize(second.answer.mask_probability, shape[::-1]) > 0.5
    return mask_agreement(first.answer.mask > 0.5, other)["dice"]


@cache
def colours() -> dict[str, list[int]]:
    """256 RGB triples per colour map, flat; both maps are perceptually uniform."""
    levels = np.arange(256)
    maps = {"sequential": COLOUR_MAP, "diverging": DIFFERENCE_MAP}
    return {
        k: (colormaps[m](levels)[:, :3] * 255).astype(int).ravel().tolist() for k, m in maps.items()
    }


def _heat_shape(diagnosis: Diagnosis) -> tuple[int, int]:
    rows, columns = diagnosis.radiograph.shape
    scale = min(1, HEAT_SIDE / max(rows, columns))
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def _strength(diagnosis: Diagnosis, cam: str, full_scale: float | None = None) -> np.ndarray:
    full_scale = full_scale or diagnosis.cam_scale[cam]
    return (diagnosis.heatmap(cam, _heat_shape(diagnosis)) / full_scale).clip(0, 1)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
