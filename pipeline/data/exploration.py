"""``python -m pipeline explore``: what is in the database, before any model sees it."""

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from pipeline import __version__
from pipeline.data.database import Film, read_database, read_film, read_mask, source_name
from pipeline.data.split import PARTS, near_duplicates_of, read_split

SIZE = 128
BRIGHTNESS_BINS, LEVEL_BINS = 32, 64
WHOLE_TABLE = "all_21165.metadata.csv"


def explore(data: Path) -> dict[str, Any]:
    """Counts, sources, brightness, grey levels before and after equalisation, near-duplicates.

    ``whole``: images per class and source of the whole database, from its own table, where that is
    there. ``sets``: the images at hand, see `_describe`; images are shrunk to `SIZE` pixels.
    ``split``: how many of them the project's split has put into each part. ``file_list_sha256``:
    of the images' class and name, a line each, in order of name.
    """
    images = read_database(data)
    pixels = np.stack([read_film(f.path, SIZE) for f in tqdm(images, desc="images")])
    groups = near_duplicates_of(images)
    known = read_split()
    parts = [known[image.name].part for image in images if image.name in known]
    strata = list(dict.fromkeys(image.stratum for image in images))
    return {
        "what": "database",
        "version": __version__,
        "films": len(images),
        "file_list_sha256": _file_list_hash(images),
        "whole": _whole(data),
        "sets": {name: _describe(images, pixels, name) for name in tqdm(strata, desc="sets")},
        "near_duplicates": _near_duplicates(images, groups),
        "split": {name: parts.count(name) for name in (*PARTS, "none")},
    }


def _file_list_hash(images: Sequence[Film]) -> str:
    lines = sorted(f"{image.stratum}/{image.name}\n" for image in images)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _whole(data: Path) -> dict[str, dict[str, int]] | None:
    """Images per class and source of all 21,165, from the table that lists them."""
    tables = sorted(Path(data).glob(f"**/{WHOLE_TABLE}"))
    if not tables:
        return None
    counts: dict[str, Counter[str]] = {}
    with tables[0].open(newline="", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines):
            label = row["FILE NAME"].rsplit("-", 1)[0]
            label = "Normal" if label == "NORMAL" else label
            counts.setdefault(label, Counter())[source_name(row["URL"])] += 1
    return {label: dict(sources.most_common()) for label, sources in counts.items()}


def _describe(images: Sequence[Film], pixels: np.ndarray, stratum: str) -> dict[str, Any]:
    """One class, or one set without a class.

    ``brightness``: an image's mean level, 0..255: quartiles and counts in equal bins. ``levels``:
    share of pixels in equal bins of 0..255, the mean over images: as they come, equalised, and
    inside the lung mask of the equalised masked image. ``examples``: the darkest, the middle and
    the brightest image that has a mask.
    """
    chosen = [i for i, image in enumerate(images) if image.stratum == stratum]
    own = pixels[chosen]
    masks = {i: read_mask(mask, SIZE) > 127 for i in chosen if (mask := images[i].mask)}
    masked = list(masks)
    brightness = own.mean((1, 2))
    lungs = [(cv2.equalizeHist(pixels[i] * masks[i]), masks[i]) for i in masked]
    by_brightness = sorted(masked, key=lambda i: pixels[i].mean())
    picked = [by_brightness[k] for k in (0, len(masked) // 2, -1)] if masked else []
    return {
        "films": len(chosen),
        "with_lung_mask": len(masked),
        "sources": dict(Counter(images[i].source for i in chosen).most_common()),
        "brightness": {
            "quartiles": _quartiles(brightness),
            "counts": np.histogram(brightness, BRIGHTNESS_BINS, (0, 256))[0].tolist(),
        },
        "levels": {
            "as_they_come": _level_shares([image.ravel() for image in own]),
            "equalised": _level_shares([cv2.equalizeHist(image).ravel() for image in own]),
            "lungs_equalised": _level_shares([image[mask] for image, mask in lungs]),
        },
        "lung_area": _quartiles([mask.mean() for mask in masks.values()]),
        "examples": [
            {"name": images[i].name, "brightness": round(float(pixels[i].mean()), 1)}
            for i in picked
        ],
    }


def _quartiles(values: Sequence[float]) -> list[float] | None:
    """25th, 50th and 75th percentile."""
    return (
        [round(float(q), 4) for q in np.percentile(values, (25, 50, 75))] if len(values) else None
    )


def _level_shares(images: Sequence[np.ndarray]) -> list[float] | None:
    """Share of pixels per level bin, each image weighing alike."""
    counts = [np.histogram(f, LEVEL_BINS, (0, 256))[0] / f.size for f in images if f.size]
    return np.mean(counts, axis=0).round(5).tolist() if counts else None


def _near_duplicates(images: Sequence[Film], groups: np.ndarray) -> dict[str, Any]:
    sizes = np.bincount(groups)
    several = [np.flatnonzero(groups == g).tolist() for g in np.flatnonzero(sizes > 1)]
    return {
        "groups_of_several": len(several),
        "films_in_them": int(sum(map(len, several))),
        "largest": int(sizes.max()),
        "across_classes": sum(
            len({images[i].label for i in group} - {None}) > 1 for group in several
        ),
        "by_class": dict(Counter(images[i].stratum for group in several for i in group)),
    }
