"""Read the COVID-19 Radiography Database's folder layout.

    <root>/COVID-19_Radiography_Dataset/<class>/{images,masks,infection_masks}/*.{png,jpg}
    <root>/COVID-19_Radiography_Dataset/<class>.metadata.csv      FILE NAME, FORMAT, SIZE, URL
    <root>/lung_segmentation/<set>/{images,masks}/*               pairs without a class (optional)
    <root>/siim_covid19/images/*                                  SIIM-COVID19 (optional)

``<root>`` may also be the folder that holds the classes itself.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.models.spec import CLASSES

# Images of each class in the whole database, by its own metadata tables.
WHOLE = {"COVID": 3616, "Normal": 10_192, "Lung_Opacity": 6012, "Viral Pneumonia": 1345}
SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Film:
    """One image of the database: where it lies and what is known of it."""

    path: Path
    label: str | None
    source: str
    mask: Path | None = None
    infection_mask: Path | None = None

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def stratum(self) -> str:
        """What a split keeps in proportion: the class, or the set for images without one."""
        return self.label or self.source


def read_database(root: Path | str, siim: bool = False) -> list[Film]:
    """List every image below ``root``, classes first, in a stable order; SIIM-COVID19's if asked.

    Raises FileNotFoundError, naming the layout that was expected, when there is no class folder.
    """
    root = Path(root)
    top = root / "COVID-19_Radiography_Dataset"
    top = top if top.is_dir() else root
    images = [image for label in CLASSES for image in _read_class(top, label)]
    if not images:
        raise FileNotFoundError(
            f"{root} holds no image: expected <class>/images/*.png with a class of {CLASSES}."
        )
    for folder in sorted((root / "lung_segmentation").glob("*/images")):
        masks = _by_stem(folder.parent / "masks")
        images += [
            Film(path, None, folder.parent.name, masks.get(stem))
            for stem, path in _by_stem(folder).items()
        ]
    if siim:
        siim_images = _by_stem(root / "siim_covid19" / "images")
        images += [Film(path, None, "siim") for path in siim_images.values()]
    return images


def _read_class(top: Path, label: str) -> list[Film]:
    folder = top / label
    sources = _read_sources(top / f"{label}.metadata.csv")
    masks, infections = _by_stem(folder / "masks"), _by_stem(folder / "infection_masks")
    return [
        Film(path, label, sources.get(stem, "unknown"), masks.get(stem), infections.get(stem))
        for stem, path in _by_stem(folder / "images").items()
    ]


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}


def _read_sources(table: Path) -> dict[str, str]:
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8-sig") as lines:
        return {row["FILE NAME"].strip(): source_name(row["URL"]) for row in csv.DictReader(lines)}


def source_name(url: str) -> str:
    """Short name of the collection behind a metadata URL ('bimcv', 'rsna', 'kermany', ...)."""
    for part, name in (
        ("bimcv", "bimcv"),
        ("eurorad", "eurorad"),
        ("COVID-CXNet", "covid-cxnet"),
        ("covid-chestxray-dataset", "ieee8023"),
        ("ml-workgroup", "ml-workgroup"),
        ("sirm", "sirm"),
        ("rsna", "rsna"),
        ("chest-xray-pneumonia", "kermany"),
        ("COVID-QU-Ex", "covid-qu-ex"),
    ):
        if part in url:
            return name
    return url.strip() or "unknown"


def load_films(images: Iterable[Film], size: int) -> np.ndarray:
    """Decode images to uint8 (image, size, size, 1), grey 0..255, resized by area or linearly."""
    return np.stack([read_film(image.path, size) for image in images])[..., None]


def load_masks(images: Iterable[Film], size: int) -> np.ndarray:
    """Decode lung masks to uint8 (image, size, size, 1): 255 inside a lung field, 0 outside.

    Images without a mask are left out.
    """
    return np.stack([read_mask(image.mask, size) for image in images if image.mask])[..., None]


def read_film(path: Path, size: int) -> np.ndarray:
    """Decode one image to uint8 (size, size), grey 0..255. Raises ValueError, naming the file."""
    grey = read_grey(path)
    way = cv2.INTER_AREA if grey.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(grey, (size, size), interpolation=way)


def read_grey(path: Path) -> np.ndarray:
    """Decode an image to uint8 (rows, columns), 0..255. Raises ValueError, naming the file."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{path} is not an image that can be read: remove it or repair it.")
    return grey


def read_mask(path: Path, size: int) -> np.ndarray:
    """Decode one lung mask to uint8 (size, size): 255 inside a lung field, 0 outside."""
    return np.where(read_film(path, size) > 127, 255, 0).astype(np.uint8)
