"""The one split, which is data: ``weights/split.csv`` names every image and the part it is in.

Columns: ``image`` (file name without suffix), ``source``, ``label`` (class in the COVID-19
Radiography Database, or empty), ``finding`` (what a radiologist read, or empty: SIIM-COVID19's
label, Shenzhen's tuberculosis or not), ``group`` (patient, or near-duplicates) and ``part``: train,
validation, test, or none for an image of a patient of whom another image is in another part.

It was dealt once, 75/15/10: the database and the mask sets by groups of near-duplicates within each
class, SIIM-COVID19 by patient. Where the two tables of one patient put images into several parts,
the image nearer to training was taken out.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pipeline.data.database import Film, load_films, read_database
from pipeline.models import registry

PARTS = ("train", "validation", "test")
# What a classifier is taught of each stratum: the class that it is nearest to.
CLASS_OF = {
    "COVID": "COVID",
    "Normal": "Normal",
    "Lung_Opacity": "Lung_Opacity",
    "Viral Pneumonia": "Viral Pneumonia",
    "siim typical": "COVID",
    "siim negative": "Normal",
    "siim atypical": "Lung_Opacity",
    "shenzhen tuberculosis": "Lung_Opacity",
    "shenzhen negative": "Normal",
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    image: str
    source: str
    label: str
    finding: str
    group: str
    part: str

    @property
    def stratum(self) -> str:
        """What a batch is drawn from by share: the class, or source and finding.

        ``contradictory``: of the database's COVID class, yet without pneumonia by a radiologist.
        """
        if self.label == "COVID" and self.finding == "negative":
            return "contradictory"
        return self.label or f"{self.source} {self.finding}".strip()

    @property
    def target(self) -> str | None:
        """The class that a classifier is taught, None where there is none."""
        return CLASS_OF.get(self.stratum)


def read_split() -> dict[str, Row]:
    """The table by image name. Raises FileNotFoundError where there is none."""
    path = registry.weights_folder() / registry.SPLIT
    return _read_table(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read_table(path: Path, _mtime: int) -> dict[str, Row]:
    with path.open(newline="", encoding="utf-8") as lines:
        return {row["image"]: Row(**row) for row in csv.DictReader(lines)}


def row_of(image: Film) -> Row:
    """An image's line. Raises ValueError for an image that the split does not know."""
    try:
        return read_split()[image.name]
    except KeyError:
        raise ValueError(
            f"{image.name} is not in weights/split.csv, so it has no part: an image that was not "
            "dealt may have been trained on. Evaluate it with part 'all'."
        ) from None


def films_of(data: Path, part: str = "all", siim: bool = False) -> list[Film]:
    """The images of a folder: "all" of them, or one of `PARTS` of the project's split.

    ``siim``: with SIIM-COVID19's, which have no class of the database. Raises ValueError for an
    image that is in the folder and not in the split, unless all are asked for.
    """
    if part not in ("all", *PARTS):
        raise ValueError(f"part is 'all' or one of {PARTS}, received {part!r}.")
    images = read_database(data, siim)
    return images if part == "all" else [image for image in images if row_of(image).part == part]


def group_near_duplicates(images: np.ndarray, threshold: float = 0.97) -> np.ndarray:
    """Number the groups of images that show (almost) the same picture.

    ``images``: uint8 (image, rows, columns, 1). Two images are near-duplicates when their equalised
    32x32 reductions correlate above ``threshold``; groups are the connected components.
    Returns int64 (image,), the group of each image.
    """
    reduced = np.stack(
        [
            cv2.resize(cv2.equalizeHist(f[..., 0]), (32, 32), interpolation=cv2.INTER_AREA)
            for f in images
        ]
    )
    vectors = reduced.reshape(len(images), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    parent = np.arange(len(images))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for start in range(0, len(images), 1024):
        close = vectors[start : start + 1024] @ vectors.T > threshold
        for i, j in zip(*np.nonzero(close), strict=True):
            parent[root(start + i)] = root(j)
    return np.unique([root(i) for i in range(len(images))], return_inverse=True)[1]


def near_duplicates_of(images: Sequence[Film]) -> np.ndarray:
    """The groups that the split keeps together: int64 (image,)."""
    return group_near_duplicates(load_films(images, 64))
