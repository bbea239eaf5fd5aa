"""What the graph makes of every image before a classifier sees it, computed once.

The graph's own resize and U-Net run once over an image; the lungs are cut out and equalised in the
batch, by OpenCV, which HistNorm equals bit for bit.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
from tqdm import tqdm

from pipeline.data.database import Film, load_films
from pipeline.models import registry
from pipeline.models.graph import build_graph
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet

CACHE = Path(".cache")


@dataclass(frozen=True)
class Prepared:
    """Images at a graph's size, uint8 (image, rows, columns) 0..255, and lung masks of 0 and 1."""

    images: np.ndarray
    masks: np.ndarray

    def shown(self, index: int) -> np.ndarray:
        """What the classifier is shown of one image, the graph's ``equalised_film``, uint8."""
        return cv2.equalizeHist(self.images[index] * self.masks[index])

    def __len__(self) -> int:
        return len(self.images)


def prepare(films: Sequence[Film], model: str, cache: Path = CACHE) -> Prepared:
    """Run the front of a model's graph over images; kept in ``cache`` by images and U-Net."""
    unet_entry, architecture = registry.entry("unet"), ARCHITECTURES[model]
    size = architecture.input_size
    names = "\n".join(film.path.name for film in films)
    key = hashlib.sha256(f"{names}|{unet_entry.sha256}|{size}".encode()).hexdigest()[:16]
    file = cache / f"prepared-{size}-{key}.npz"
    if not file.is_file():
        unet = build_unet()
        unet.load_weights(unet_entry.checked_file())
        graph = build_graph(unet, architecture.build(), architecture.last_features, size)
        front = keras.Model(graph.input, [graph.get_layer("rescale").output, graph.output["mask"]])
        images, masks = [], []
        for start in tqdm(range(0, len(films), 32), desc="lung masks", mininterval=30):
            film, mask = front.predict_on_batch(_raw(films[start : start + 32]))
            images.append(np.rint(film[..., 0] * 255).astype(np.uint8))
            masks.append(mask[..., 0].astype(np.uint8))
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(
            file.with_suffix(".new.npz"), images=np.concatenate(images), masks=np.concatenate(masks)
        )
        file.with_suffix(".new.npz").replace(file)
    stored = np.load(file)
    return Prepared(stored["images"], stored["masks"])


def _raw(films: Sequence[Film]) -> np.ndarray:
    # The database comes in 299 or 256 pixels; both are a square.
    return load_films(films, cv2.imread(str(films[0].path), cv2.IMREAD_GRAYSCALE).shape[0]).astype(
        np.float32
    )
