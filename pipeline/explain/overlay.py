"""Arrays in, RGB pictures out."""

import cv2
import numpy as np
from matplotlib import colormaps

COLOUR_MAP = "inferno"
CONTOUR = (0, 200, 215)


def shrink(image: np.ndarray, longest_side: int) -> np.ndarray:
    """Reduce an image to a longest side in pixels; a smaller one is returned as it is."""
    scale = longest_side / max(image.shape)
    if scale >= 1:
        return image
    rows, columns = (max(1, round(side * scale)) for side in image.shape)
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)


def film_rgb(image: np.ndarray) -> np.ndarray:
    """float32 image (rows, columns) in 0..255 -> uint8 (rows, columns, 3)."""
    grey = image.clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def overlay_heatmap(
    image: np.ndarray, heatmap: np.ndarray, full_scale: float, opacity: float = 0.6
) -> np.ndarray:
    """Lay a raw heatmap over an image, both (rows, columns); returns uint8 (rows, columns, 3).

    Colours run over a fixed range, 0 to ``full_scale``, so that images can be compared and an image
    without evidence stays grey; the heat's own strength sets how much it covers, up to ``opacity``.
    """
    strength = (heatmap / full_scale).clip(0, 1)
    colours = colormaps[COLOUR_MAP](strength)[..., :3] * 255
    cover = (opacity * np.sqrt(strength))[..., None]
    mixed = film_rgb(image) * (1 - cover) + colours * cover
    return np.rint(mixed).astype(np.uint8)


def draw_contour(picture: np.ndarray, lungs: np.ndarray, opacity: float = 1.0) -> np.ndarray:
    """Draw the outline of a mask, uint8 (rows, columns), on a copy of an RGB picture."""
    outlines, _ = cv2.findContours(lungs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    drawn = np.ascontiguousarray(picture)
    drawn = drawn.copy()
    width = max(1, round(max(lungs.shape) / 300))
    cv2.drawContours(drawn, outlines, -1, CONTOUR, width, cv2.LINE_AA)
    return np.rint(picture * (1 - opacity) + drawn * opacity).astype(np.uint8)
