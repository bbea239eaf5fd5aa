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
    mask = (diagnosis.answer.mask_probability > 0.5).astype(np.uint8)
    rows, columns = mask.shape
    scale = 4  # finer than the network's pixels, so that the outline is smooth
    fine = cv2.resize(diagnosis.answer.mask_probability, None, fx=scale, fy=scale)
    found, _ = cv2.findContours(
        (fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    size = np.array([columns * scale, rows * scale])
    return [((c[:, 0] + 0.5) / size).round(4).ravel().tolist() for c in found]


def heat_url(diagnosis: Diagnosis, cam: str) -> str:
    """A method's map over its fixed colour scale, 0..255, as a data URL of a grey PNG."""
    return _url(_png(np.rint(_strength(diagnosis, cam) * 255).astype(np.uint8)))


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


def _strength(diagnosis: Diagnosis, cam: str) -> np.ndarray:
    rows, columns = diagnosis.radiograph.shape
    scale = min(1, HEAT_SIDE / max(rows, columns))
    shape = max(1, round(rows * scale)), max(1, round(columns * scale))
    return (diagnosis.heatmap(cam, shape) / diagnosis.cam_scale[cam]).clip(0, 1)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
