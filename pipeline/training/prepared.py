"""What the graph makes of every image before a classifier sees it, computed once.

The graph's own resize and U-Net run once over an image; the lungs are cut out and equalised in the
batch, by OpenCV, which HistNorm equals bit for bit.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import cv2
import keras
import numpy as np
from tqdm import tqdm

from pipeline.data.database import Film, read_grey
from pipeline.models import registry
from pipeline.models.graph import build_graph
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet

CACHE = Path(".cache")
BATCH = 32


@dataclass(frozen=True)
class Prepared:
    """Images at a graph's size, uint8 (image, rows, columns) 0..255, and lung masks of 0 and 1.

    ``key``: what they were made of, images and U-Net, as a hash.
    """

    images: np.ndarray
    masks: np.ndarray
    key: str = ""

    def shown(self, index: int) -> np.ndarray:
        """What the classifier is shown of one image, the graph's ``equalised_film``, uint8."""
        return cv2.equalizeHist(self.images[index] * self.masks[index])

    def __len__(self) -> int:
        return len(self.images)


def prepare(films: Sequence[Film], model: str, cache: Path = CACHE) -> Prepared:
    """Run the front of a model's graph over images; kept in ``cache`` by images and U-Net."""
    unet_entry, architecture = registry.entry("unet"), ARCHITECTURES[model]
    size = architecture.input_size
    made_of = hashlib.sha256(f"{unet_entry.sha256}|{size}".encode())
    for film in films:
        made_of.update(hashlib.sha256(film.path.read_bytes()).digest())
    key = made_of.hexdigest()[:16]
    file = cache / f"prepared-{size}-{key}.npz"
    if not file.is_file():
        unet = build_unet()
        unet.load_weights(unet_entry.checked_file())
        first = registry.read_registry()["equalise_first"]
        graph = build_graph(unet, architecture.build(), architecture.last_features, size, first)
        front = keras.Model(graph.input, [graph.get_layer("rescale").output, graph.output["mask"]])
        images, masks = [], []
        for raw in _batches(tqdm(films, desc="lung masks", mininterval=30)):
            image, mask = front.predict_on_batch(raw)
            images.append(np.rint(image[..., 0] * 255).astype(np.uint8))
            masks.append(mask[..., 0].astype(np.uint8))
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".new.npz")
        np.savez(unfinished, images=np.concatenate(images), masks=np.concatenate(masks))
        unfinished.replace(file)
    stored = np.load(file)
    return Prepared(stored["images"], stored["masks"], key)


def _batches(films: Sequence[Film]) -> Iterator[np.ndarray]:
    """The images as they lie on disk, in their order, as many of one shape as follow each other."""
    for _, alike in groupby((read_grey(film.path) for film in films), lambda image: image.shape):
        while batch := list(islice(alike, BATCH)):
            yield np.stack(batch)[..., None].astype(np.float32)
