"""What the classifier sees of each film, computed once: masked by the U-Net, equalised, uint8."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.training.database import Film, load_films


def predict_lungs(films: np.ndarray, unet, equalise: bool) -> np.ndarray:
    """Lung masks, uint8 (film, rows, columns, 1) of 0 and 1, from uint8 films of the same shape.

    ``unet`` takes float32 (batch, rows, columns, 1) in 0..1 and returns lung probabilities.
    """
    masks = np.empty_like(films)
    for i in tqdm(range(0, len(films), 16), desc="lung masks"):
        batch = films[i : i + 16]
        if equalise:
            batch = np.stack([cv2.equalizeHist(f[..., 0])[..., None] for f in batch])
        masks[i : i + 16] = np.rint(unet(batch.astype(np.float32) / np.float32(255)))
    return masks


def masked_films(
    films: Sequence[Film], size: int, unet, unet_sha256: str, equalise: bool, cache: Path
) -> np.ndarray:
    """Films as the graph hands them to the classifier: uint8 (film, size, size, 1).

    Kept in ``cache`` under a name made of the films, the size and the U-Net's hash.
    """
    names = "\n".join(film.path.name for film in films)
    key = hashlib.sha256(f"{names}|{unet_sha256}|{size}|{equalise}".encode()).hexdigest()[:16]
    path = cache / f"masked-{size}-{key}.npy"
    if path.is_file():
        return np.load(path)
    raw = load_films(films, size)
    masked = raw * predict_lungs(raw, unet, equalise)
    result = np.stack([cv2.equalizeHist(f[..., 0])[..., None] for f in masked])
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, result)
    return result
