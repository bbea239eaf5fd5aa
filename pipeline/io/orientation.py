"""How a radiograph lies: one table of what sets it right, and the one place that undoes it.

A `Radiograph` carries the codes of what was done to its pixels, in order, as ``repairs``. Masks and
maps of it are brought back by `as_stored` before they leave the program, so that they lie over the
pixels of the file. A picture's EXIF orientation is no repair: every viewer applies it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Repair(NamedTuple):
    """``apply``: what a reader sees from what is stored, float32 (rows, columns) in 0..255;
    ``undo``: what brings a picture of it, (rows, columns, ...), back."""

    apply: Callable[[np.ndarray], np.ndarray]
    undo: Callable[[np.ndarray], np.ndarray]


# Named for how the radiograph came.
REPAIRS = {
    "inverted": Repair(lambda image: 255 - image, lambda picture: picture),
    "turned_left": Repair(lambda image: np.rot90(image, -1), np.rot90),
    "turned_right": Repair(np.rot90, lambda picture: np.rot90(picture, -1)),
    "upside_down": Repair(lambda image: np.rot90(image, 2), lambda picture: np.rot90(picture, 2)),
    "mirrored": Repair(np.fliplr, np.fliplr),
}

QUARTER_TURNS = ("turned_left", "turned_right")

# Patient Orientation (PS3.3 C.7.6.1.1.1): where rows and columns lead to. The usual display of a
# frontal chest radiograph is ("L", "F"): the patient's right side on the left, the head at the top.
BY_ORIENTATION = {
    ("L", "F"): (),
    ("R", "F"): ("mirrored",),
    ("R", "H"): ("upside_down",),
    ("L", "H"): ("upside_down", "mirrored"),
    ("F", "R"): ("turned_left",),
    ("F", "L"): ("turned_left", "mirrored"),
    ("H", "L"): ("turned_right",),
    ("H", "R"): ("turned_right", "mirrored"),
}


def repairs_for(orientation: Sequence[str]) -> tuple[str, ...]:
    """What brings an image of this Patient Orientation to the usual display of a frontal one.

    Nothing where it says nothing of left and right, as that of a lateral image does.
    """
    return BY_ORIENTATION.get(tuple(part[:1] for part in orientation), ())


def repaired(image: np.ndarray, repairs: Sequence[str]) -> np.ndarray:
    """The image after these repairs, in this order; float32 (rows, columns) in 0..255."""
    for code in repairs:
        image = REPAIRS[code].apply(image)
    return np.ascontiguousarray(image)


def as_stored(picture: np.ndarray, repairs: Sequence[str]) -> np.ndarray:
    """A picture of the repaired image, (rows, columns, ...), over the pixels of its file."""
    for code in reversed(repairs):
        picture = REPAIRS[code].undo(picture)
    return np.ascontiguousarray(picture)
