"""The three pictures of a reading, at the size a screen shows."""

import cv2
import numpy as np

from pipeline.diagnosis import Diagnosis
from pipeline.pictures import draw_contour, film_rgb, overlay_heatmap, shrink

LONGEST_SIDE = 768


def film_picture(diagnosis: Diagnosis) -> np.ndarray:
    """The film as it was read: uint8 RGB (rows, columns, 3)."""
    return film_rgb(shrink(diagnosis.radiograph.pixels, LONGEST_SIDE))


def lung_picture(diagnosis: Diagnosis, opacity: float) -> np.ndarray:
    """The film with the outline of the predicted lungs, ``opacity`` 0..1."""
    film = shrink(diagnosis.radiograph.pixels, LONGEST_SIDE)
    probability = cv2.resize(diagnosis.answer.mask_probability, film.shape[::-1])
    lungs = np.where(probability > 0.5, 255, 0).astype(np.uint8)
    return draw_contour(film_rgb(film), lungs, opacity)


def heatmap_picture(diagnosis: Diagnosis, cam: str, opacity: float) -> np.ndarray:
    """The film under the raw heatmap of a method, on the fixed colour scale."""
    film = shrink(diagnosis.radiograph.pixels, LONGEST_SIDE)
    heatmap = diagnosis.heatmap(cam, film.shape)
    return overlay_heatmap(film, heatmap, diagnosis.cam_scale[cam], opacity)
