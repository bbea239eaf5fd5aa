"""The three pictures of a reading, at the size a screen shows."""

import cv2
import numpy as np

from pipeline.diagnosis import Diagnosis
from pipeline.pictures import draw_contour, film_rgb, overlay_heatmap

LONGEST_SIDE = 768


def film_picture(diagnosis: Diagnosis) -> np.ndarray:
    """The film as it was read: uint8 RGB (rows, columns, 3)."""
    return film_rgb(_shrink(diagnosis.radiograph.pixels))


def lung_picture(diagnosis: Diagnosis, opacity: float) -> np.ndarray:
    """The film with the outline of the predicted lungs, ``opacity`` 0..1."""
    film = _shrink(diagnosis.radiograph.pixels)
    probability = cv2.resize(diagnosis.answer.mask_probability, film.shape[::-1])
    lungs = np.where(probability > 0.5, 255, 0).astype(np.uint8)
    return draw_contour(film_rgb(film), lungs, opacity)


def heatmap_picture(diagnosis: Diagnosis, cam: str, opacity: float) -> np.ndarray:
    """The film under the raw heatmap of a method, on the fixed colour scale."""
    film = _shrink(diagnosis.radiograph.pixels)
    heatmap = diagnosis.heatmap(cam, film.shape)
    return overlay_heatmap(film, heatmap, diagnosis.cam_scale[cam], opacity)


def _shrink(film: np.ndarray) -> np.ndarray:
    scale = LONGEST_SIDE / max(film.shape)
    if scale >= 1:
        return film
    rows, columns = (max(1, round(side * scale)) for side in film.shape)
    return cv2.resize(film, (columns, rows), interpolation=cv2.INTER_AREA)
