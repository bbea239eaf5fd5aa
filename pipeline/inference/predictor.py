"""The engine of training and evaluation: Keras on TensorFlow."""

import threading
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipeline.inference.answer_model import AnswerModel
from pipeline.inference.base_predictor import BasePredictor, with_channel
from pipeline.models import registry
from pipeline.models.graph import build_graph
from pipeline.models.unet import build_unet


class Predictor(BasePredictor):
    """A `BasePredictor` whose layers can be looked at.

    `keras.Model.predict` is not thread-safe and retraces; here the graph is traced once for images
    of every size, and a lock lets one batch through at a time.
    """

    engine = "keras"

    def __init__(self, name: str, folder: Path | None = None):
        super().__init__(name, folder)
        self.unet, self.classifier = build_unet(), self.architecture.build()
        self.unet.load_weights(self.unet_entry.checked_file())
        self.classifier.load_weights(self.entry.checked_file())
        equalise_first = registry.read_registry(folder)["equalise_first"]
        layer = self.architecture.last_features
        self.graph = build_graph(
            self.unet,
            self.classifier,
            layer,
            self.entry.input_size,
            equalise_first,
            masked=self.architecture.masked,
        )
        self.model = AnswerModel(
            self.graph, self.classifier, layer, self.covid, self.architecture.pooled
        )
        seen = "equalise_film" if equalise_first else "rescale"
        self.before_classifier = {
            **{name: self.graph.output[name] for name in ("mask_probability", "context")},
            "resized": self.graph.get_layer("rescale").output,
            "seen": self.graph.get_layer(seen).output,
        }
        self._lock = threading.Lock()
        self._traced = _trace(self.model)
        self._traced_classifier = _trace(self.classifier)
        self._traced_only: dict = {}

    def classify(self, shown: np.ndarray) -> np.ndarray:
        with self._lock:
            scores = self._traced_classifier(tf.constant(with_channel(shown)))
        return scores.numpy()[:, self.covid]

    def _answer(self, films: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            outputs = self._traced(tf.constant(films))
        return {name: value.numpy() for name, value in outputs.items()}

    def _only(self, names: Sequence[str], films: np.ndarray) -> list[np.ndarray]:
        names = tuple(names)
        with self._lock:
            if names not in self._traced_only:
                outputs = {name: self.before_classifier[name] for name in names}
                self._traced_only[names] = _trace(keras.Model(self.graph.input, outputs))
            outputs = self._traced_only[names](tf.constant(films))
        return [outputs[name].numpy() for name in names]


def _trace(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    films = tf.TensorSpec((None, None, None, 1), tf.float32)
    return tf.function(lambda x: model(x, training=False), input_signature=[films])
