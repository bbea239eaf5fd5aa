"""A loaded model that can be asked: one traced function, one film at a time."""

import threading
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipeline import __version__
from pipeline.inference.answer_model import AnswerModel
from pipeline.inference.diagnosis import Answer
from pipeline.models import registry
from pipeline.models.graph import OUTPUTS, build_graph
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.quality.detector import read_gate


class Predictor:
    """The end-to-end graph of one classifier with its weights, safe to call from many threads.

    `keras.Model.predict` is not thread-safe and retraces; here the graph is traced once for films
    of every size, and a lock lets one film through at a time.
    """

    def __init__(self, name: str, folder: Path | None = None):
        self.entry = registry.entry(name, folder)
        self.unet_entry = registry.entry("unet", folder)
        common = registry.read_registry(folder)
        self.architecture = ARCHITECTURES[name]
        self.unet, self.classifier = build_unet(), self.architecture.build()
        self.unet.load_weights(self.unet_entry.checked_file())
        self.classifier.load_weights(self.entry.checked_file())
        self.gate = read_gate(folder)
        layer = self.architecture.last_features
        self.graph = build_graph(
            self.unet,
            self.classifier,
            layer,
            self.entry.input_size,
            common["equalise_first"],
            masked=self.architecture.masked,
        )
        self.covid = self.entry.labels.index("COVID")
        self.model = AnswerModel(
            self.graph, self.classifier, layer, self.covid, self.architecture.pooled
        )
        self._lock = threading.Lock()
        films = tf.TensorSpec((None, None, None, 1), tf.float32)
        self._traced = tf.function(self.model, input_signature=[films])
        names = ("mask_probability", "context")
        lungs = keras.Model(self.graph.input, [self.graph.output[name] for name in names])
        self._traced_lungs = tf.function(
            lambda x: lungs(x, training=False), input_signature=[films]
        )
        self._traced_classifier = tf.function(
            lambda x: self.classifier(x, training=False), input_signature=[films]
        )

    def __call__(self, film: np.ndarray) -> Answer:
        """Ask the graph about one film, float32 (rows, columns) in 0..255."""
        return self.many(film[None])[0]

    def many(self, films: np.ndarray) -> list[Answer]:
        """Ask about films of one size, float32 (film, rows, columns) in 0..255."""
        with self._lock:
            outputs = self._traced(tf.constant(films[..., None], tf.float32))
        arrays = {name: value.numpy() for name, value in outputs.items()}
        for name in OUTPUTS[:4]:
            arrays[name] = arrays[name][..., 0]
        return [Answer(**{k: v[i] for k, v in arrays.items()}) for i in range(len(films))]

    def identity(self) -> dict:
        """What a record of measurements names: model, hashes of the weights, version."""
        return {
            "model": self.entry.name,
            "weights_sha256": self.entry.sha256,
            "unet_sha256": self.unet_entry.sha256,
            "version": __version__,
        }

    def find_lungs(self, film: np.ndarray) -> np.ndarray:
        """The lung probability alone, float32 (size, size), of one film as in `__call__`."""
        return self.look(film[None])[0][0]

    def look(self, films: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the gate judges by, without the classifier: lung probabilities and contexts.

        float32 (film, size, size) and (film, 448) of films as in `many`, see `build_graph`.
        """
        with self._lock:
            probability, context = self._traced_lungs(tf.constant(films[..., None], tf.float32))
        return probability.numpy()[..., 0], context.numpy()

    def levels(self, films: np.ndarray) -> np.ndarray:
        """Films as in `many` at the size that the models see, before any mask: uint8 0..255."""
        resized = self.graph.get_layer("resize")(tf.constant(films[..., None], tf.float32))
        # By way of 0..1, as in the graph: halves between two levels are rounded the same way.
        film = self.graph.get_layer("rescale")(resized).numpy()[..., 0]
        return np.rint(film * np.float32(255)).clip(0, 255).astype(np.uint8)

    def classify(self, equalised: np.ndarray) -> np.ndarray:
        """COVID scores, float32 (film,), of what the classifier is shown behind the graph's mask.

        ``equalised``: float32 (film, rows, columns), see the output ``equalised_film``.
        """
        with self._lock:
            scores = self._traced_classifier(tf.constant(equalised[..., None], tf.float32))
        return scores.numpy()[:, self.covid]
