"""A loaded model that can be asked, whatever computes it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import __version__
from pipeline.inference.diagnosis import Answer
from pipeline.models import registry
from pipeline.models.spec import ARCHITECTURES
from pipeline.quality.detector import read_gate

IMAGES = ("mask_probability", "mask", "masked_film", "equalised_film")


class BasePredictor(ABC):
    """The end-to-end graph of one classifier with its weights, safe to call from many threads.

    ``engine``: "keras" (`Predictor`) or "onnx" (`OnnxPredictor`). Raises `registry.WeightsError`
    where a file is missing or is not that of the registry.
    """

    engine: str

    def __init__(self, name: str, folder: Path | None = None):
        self.folder = folder
        self.entry = registry.entry(name, folder)
        self.unet_entry = registry.entry("unet", folder)
        self.architecture = ARCHITECTURES[name]
        self.gate = read_gate(folder)
        self.covid = self.entry.labels.index("COVID")

    def __call__(self, film: np.ndarray) -> Answer:
        """Ask the graph about one image, float32 (rows, columns) in 0..255."""
        return self.many(film[None])[0]

    def many(self, films: np.ndarray) -> list[Answer]:
        """Ask about images of one size, float32 (image, rows, columns) in 0..255."""
        arrays = self._answer(with_channel(films))
        for name in IMAGES:
            arrays[name] = arrays[name][..., 0]
        return [Answer(**{k: v[i] for k, v in arrays.items()}) for i in range(len(films))]

    def find_lungs(self, film: np.ndarray) -> np.ndarray:
        """The lung probability alone, float32 (size, size), of one image as in `__call__`."""
        return self.look(film[None])[0][0]

    def look(self, films: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the gate judges by, without the classifier: lung probabilities and contexts.

        float32 (image, size, size) and (image, 448) of images as in `many`, see `build_graph`.
        """
        probability, context = self._only(("mask_probability", "context"), with_channel(films))
        return probability[..., 0], context

    def before_unet(self, film: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One image as in `__call__` on its way to the U-Net: resized, and as the U-Net sees it.

        Both float32 (size, size) in 0..1.
        """
        resized, seen = self._only(("resized", "seen"), with_channel(film[None]))
        return resized[0, ..., 0], seen[0, ..., 0]

    def levels(self, films: np.ndarray) -> np.ndarray:
        """Images as in `many` at the size that the models see, before any mask: uint8 0..255."""
        (resized,) = self._only(("resized",), with_channel(films))
        # From 0..1, as in the graph: halves between two levels are rounded the same way.
        return np.rint(resized[..., 0] * np.float32(255)).clip(0, 255).astype(np.uint8)

    def identity(self) -> dict:
        """What a record of measurements names: model, hashes of the weights, version."""
        return {
            "model": self.entry.name,
            "weights_sha256": self.entry.sha256,
            "unet_sha256": self.unet_entry.sha256,
            "version": __version__,
        }

    @abstractmethod
    def classify(self, shown: np.ndarray) -> np.ndarray:
        """COVID scores, float32 (image,), of what the classifier is shown behind the mask.

        ``shown``: float32 (image, size, size), see the output ``equalised_film``.
        """

    @abstractmethod
    def _answer(self, films: np.ndarray) -> dict[str, np.ndarray]:
        """Every field of an `Answer` for float32 (image, rows, columns, 1), with a batch axis."""

    @abstractmethod
    def _only(self, names: Sequence[str], films: np.ndarray) -> list[np.ndarray]:
        """Outputs of the graph before the classifier, and nothing computed beyond them."""


def with_channel(films: np.ndarray) -> np.ndarray:
    """float32 (image, rows, columns, 1) of (image, rows, columns)."""
    return np.ascontiguousarray(films[..., None], np.float32)
