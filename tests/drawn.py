"""Folders of synthetic radiographs in the layouts that the pipeline reads."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from pipeline.data.database import CLASSES
from pipeline.models import registry

SIIM = ("typical", "negative", "atypical", "indeterminate")
COLUMNS = ("image", "source", "label", "finding", "group", "part")


def make_database(root: Path, films, per_class: int = 6) -> Path:
    """A tiny folder in the database's layout, of varied synthetic films."""
    rng = np.random.default_rng(0)
    picked = list(films.values())
    for c, label in enumerate(CLASSES):
        folder = root / "COVID-19_Radiography_Dataset" / label
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        lines = ["FILE NAME,FORMAT,SIZE,URL"]
        for i in range(per_class):
            film, mask = picked[(c + i) % len(picked)]
            cv2.imwrite(str(folder / "images" / f"{label}-{i}.png"), _varied(film, rng)[::4, ::4])
            if i % 2 == 0:
                cv2.imwrite(str(folder / "masks" / f"{label}-{i}.png"), mask[::2, ::2])
            lines.append(f"{label}-{i},PNG,128*128,https://bimcv.cipf.es/x")
        (folder.parent / f"{label}.metadata.csv").write_text("\n".join(lines))
    return root


def make_siim(root: Path, films, per_finding: int = 4) -> Path:
    """Images named for their finding, where `read_database` looks for SIIM-COVID19's."""
    rng = np.random.default_rng(1)
    folder = root / "siim_covid19" / "images"
    folder.mkdir(parents=True)
    picked = list(films.values())
    for f, finding in enumerate(SIIM):
        for i in range(per_finding):
            image = _varied(picked[(f + i) % len(picked)][0], rng)[::2, ::2]
            cv2.imwrite(str(folder / f"{finding}-{i}.png"), image)
    return root


def make_weights(folder: Path, root: Path) -> Path:
    """The shipped weights with a split of their own, of the images below ``root``.

    Of three images of a kind that follow each other, two are for training and one for validation;
    the database's come from two sources in turn.
    """
    shutil.copytree(registry.ROOT / "weights", folder, copy_function=os.symlink)
    (folder / registry.SPLIT).unlink()
    rows = []
    for path in sorted(root.glob("**/images/*.png")):
        kind, number = path.stem.rsplit("-", 1)
        source = ("bimcv", "sirm")[int(number) % 2]
        known = ("siim", "", kind) if kind in SIIM else (source, kind, "")
        part = "validation" if int(number) % 3 == 2 else "train"
        rows.append((path.stem, *known, path.stem, part))
    write_split(folder / registry.SPLIT, rows)
    return folder


def write_split(file: Path, rows: Iterable[tuple[str, ...]]) -> None:
    """A table as `pipeline.data.split` reads it."""
    file.write_text("\n".join(",".join(row) for row in (COLUMNS, *rows)) + "\n")


def _varied(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, 60, (16, 16)).astype(np.float32)
    return np.clip(film + cv2.resize(noise, film.shape), 0, 255).astype(np.uint8)


def two_ellipses(rows: int = 250, columns: int = 210) -> tuple[np.ndarray, np.ndarray]:
    """A film with two dark ellipses, uint8 (rows, columns), and their mask, 255 inside."""
    r, c = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    right = ((r - 0.5) / 0.3) ** 2 + ((c - 0.25) / 0.12) ** 2 < 1
    left = ((r - 0.5) / 0.3) ** 2 + ((c - 0.73) / 0.1) ** 2 < 1
    lungs = right | left
    return np.where(lungs, 40, 200).astype(np.uint8), np.where(lungs, 255, 0).astype(np.uint8)
