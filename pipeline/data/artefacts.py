"""Paint what lies on an image beside the patient: lettering, an electrode, a tube."""

import cv2
import numpy as np

KINDS = ("text", "electrode", "tube")


def paint(
    image: np.ndarray, kind: str, row: float, column: float, size: float, text: str = "R"
) -> np.ndarray:
    """Paint on a copy of an image, float32 (rows, columns) in 0..255.

    ``row``, ``column``: where, 0..1 of the image's height and width; for a tube, where it ends,
    coming from the upper edge. ``size``: height of the lettering, diameter of the electrode or five
    times the width of the tube, 0..1 of the image's height. ``text``: what is written. Ink only
    brightens, as what lies in the beam does. Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {KINDS}, received {kind!r}.")
    rows, columns = image.shape
    ink = np.zeros(image.shape, np.uint8)
    place = round(column * (columns - 1)), round(row * (rows - 1))
    length = max(3, round(size * rows))
    if kind == "text":
        _write(ink, text, place, length)
    elif kind == "electrode":
        cv2.circle(ink, place, length // 2, 150, -1, cv2.LINE_AA)
        cv2.circle(ink, place, max(1, length // 5), 250, -1, cv2.LINE_AA)
    else:
        _lay_tube(ink, place, max(1, length // 5))
    return np.maximum(image, ink.astype(np.float32))


def _write(ink: np.ndarray, text: str, place: tuple[int, int], height: int) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    thick = max(1, height // 8)
    (width, own), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = height / own
    corner = round(place[0] - width * scale / 2), round(place[1] + height / 2)
    cv2.putText(ink, text, corner, font, scale, 255, thick, cv2.LINE_AA)


def _lay_tube(ink: np.ndarray, end: tuple[int, int], width: int) -> None:
    """From the middle of the upper edge, bent like a quarter of a wave; the wall shows brighter."""
    start = ink.shape[1] / 2
    share = np.linspace(0, 1, 64)
    columns = start + (end[0] - start) * (1 - np.cos(np.pi * share)) / 2
    line = np.stack([columns, end[1] * share], 1).round().astype(np.int32)[:, None]
    cv2.polylines(ink, [line], False, 210, width, cv2.LINE_AA)
    if width > 3:
        cv2.polylines(ink, [line], False, 120, width - 2, cv2.LINE_AA)
