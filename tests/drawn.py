"""Folders of synthetic radiographs in the layouts that the pipeline reads."""

from pathlib import Path

import cv2
import numpy as np

from pipeline.data.database import CLASSES


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
            noise = rng.normal(0, 60, (16, 16)).astype(np.float32)
            film = np.clip(film + cv2.resize(noise, film.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "images" / f"{label}-{i}.png"), film[::4, ::4])
            if i % 2 == 0:
                cv2.imwrite(str(folder / "masks" / f"{label}-{i}.png"), mask[::2, ::2])
            lines.append(f"{label}-{i},PNG,128*128,https://bimcv.cipf.es/x")
        (folder.parent / f"{label}.metadata.csv").write_text("\n".join(lines))
    return root
