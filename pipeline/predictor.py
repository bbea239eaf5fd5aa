"""A loaded model that can be asked: one traced function, one film at a time."""

import threading
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline import registry
from pipeline.diagnosis import Answer
from pipeline.graph import OUTPUTS, build_graph, head_of
from pipeline.models import light_cnn
from pipeline.models.unet import build_unet

BUILDERS = {"light": (light_cnn.build_light_cnn, light_cnn)}


class Predictor:
    """The end-to-end graph of one classifier with its weights, safe to call from many threads.

    `keras.Model.predict` is not thread-safe and retraces; here the graph is traced once for films
    of every size, and a lock lets one film through at a time.
    """

    def __init__(self, name: str, folder: Path | None = None):
        self.entry = registry.entry(name, folder)
        self.unet_entry = registry.entry("unet", folder)
        common = registry.read_registry(folder)
        self.gate_limits = common["gate_limits"]
        builder, self.geometry = BUILDERS[name]
        unet, classifier = build_unet(), builder()
        unet.load_weights(self.unet_entry.checked_file())
        classifier.load_weights(self.entry.checked_file())
        layer = self.geometry.LAST_FEATURES
        self.graph = build_graph(
            unet, classifier, layer, self.entry.input_size, common["equalise_first"]
        )
        self.covid = self.entry.labels.index("COVID")
        self._not_covid = np.array([label != "COVID" for label in self.entry.labels], np.float32)
        self._head = head_of(classifier, layer)
        self._lock = threading.Lock()
        self._traced = tf.function(
            self._forward, input_signature=[tf.TensorSpec((None, None, None, 1), tf.float32)]
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

    def _forward(self, films):
        outputs = self.graph(films, training=False)
        features = outputs["features"]
        with tf.GradientTape() as tape:
            tape.watch(features)
            probabilities = self._head(features, training=False)
            # Summing the others keeps 1 - p exact where p rounds to 1.
            others = tf.reduce_sum(probabilities * self._not_covid, axis=-1)
            evidence = -tf.math.log(tf.maximum(others, 1e-30))
        return outputs | {"gradient": tape.gradient(evidence, features)}
