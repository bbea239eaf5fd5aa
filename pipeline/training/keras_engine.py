"""One training step, one prediction and the exact state of a run, with Keras on any backend."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
from keras import ops

from pipeline.training.averaging import decay_at
from pipeline.training.batches import ByEpoch

# Attributes of Keras's augmenting layers that hold how far they go.
RANGES = ("factor", "height_lower", "height_upper", "width_lower", "width_upper")


class KerasEngine:
    """Trains a Keras model with the backend that Keras runs on.

    ``averaging``: see `pipeline.training.averaging`.
    """

    def __init__(self, model: keras.Model, loss: str, seed: int, averaging: float = 0.0):
        keras.utils.set_random_seed(seed)
        self.model, self.loss = model, LOSSES[loss]
        kinds = (keras.layers.RandomRotation, keras.layers.RandomZoom)
        layers = [layer for layer in model.layers if isinstance(layer, kinds)]
        self.turns = {
            layer: {k: getattr(layer, k) for k in RANGES if hasattr(layer, k)} for layer in layers
        }
        self.optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-7)
        model.compile(optimizer=self.optimizer, loss=self.loss)
        self.optimizer.build(model.trainable_variables)
        self.averaging, self.steps = averaging, 0
        self.average = model.get_weights()

    def rotate(self, on: bool) -> None:
        """Switch random rotations and zooms on or off; flips, which blur nothing, stay."""
        for layer, ranges in self.turns.items():
            for name, value in ranges.items():
                setattr(layer, name, value if on else _nothing_of(value))
        self.model.make_train_function(force=True)

    def stream(self, batches, keys: Iterable[tuple[int, int]]) -> Iterator:
        """The batches of these (epoch, index)."""
        return map(ByEpoch(batches).__getitem__, keys)

    def step(self, films: np.ndarray, targets: np.ndarray, learning_rate: float) -> float:
        """Take one Adam step; return the batch's loss."""
        self.optimizer.learning_rate.assign(learning_rate)
        loss = float(self.model.train_on_batch(films, targets))
        decay = decay_at(self.steps, self.averaging)
        self.steps += 1
        self.average = [
            decay * average + (1 - decay) * latest
            for average, latest in zip(self.average, self.model.get_weights(), strict=True)
        ]
        return loss

    def predict(self, films: np.ndarray) -> np.ndarray:
        """The averaged model's output, float32, in inference mode."""
        with self.averaged():
            return np.asarray(self.model.predict_on_batch(films))

    def evaluate(self, films: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
        """Output and mean loss of one batch, in inference mode."""
        output = self.predict(films)
        return output, float(ops.convert_to_numpy(self.loss(targets, output)))

    @contextlib.contextmanager
    def averaged(self):
        """Inside, the Keras model holds the averaged weights."""
        latest = self.model.get_weights()
        self.model.set_weights(self.average)
        yield
        self.model.set_weights(latest)

    def save(self, path) -> None:
        """Write all that the next step depends on: weights, Adam's moments, random state."""
        with Path(path).open("wb") as file:
            variables = [ops.convert_to_numpy(v) for v in self._variables()]
            np.savez(file, *variables, self.steps, *self.average)

    def load(self, path) -> None:
        """Take up the state that `save` wrote."""
        with np.load(path) as state:
            values, variables = list(state.values()), self._variables()
        for variable, value in zip(variables, values, strict=False):
            variable.assign(value)
        self.steps, self.average = int(values[len(variables)]), values[len(variables) + 1 :]

    def _variables(self) -> list:
        seeds = [
            layer.generator.state for layer in self.model.layers if hasattr(layer, "generator")
        ]
        return [*self.model.weights, *self.optimizer.variables, *seeds]


def _nothing_of(value):
    return (0.0, 0.0) if isinstance(value, tuple) else 0.0


def cross_entropy_and_dice(target, lung):
    """Binary cross-entropy plus one minus soft Dice per film (Milletari et al. 2016, eq. 4)."""
    target = ops.convert_to_tensor(target, dtype="float32")
    overlap = ops.sum(lung * target, axis=(1, 2, 3))
    size = ops.sum(lung, axis=(1, 2, 3)) + ops.sum(target, axis=(1, 2, 3))
    dice = (2 * overlap + 1) / (size + 1)
    return ops.mean(ops.binary_crossentropy(target, lung)) + ops.mean(1 - dice)


def categorical_cross_entropy(target, probabilities):
    """Cross-entropy of softmax output against (possibly smoothed) one-hot targets."""
    log = ops.log(ops.maximum(probabilities, 1e-7))
    return -ops.mean(ops.sum(ops.convert_to_tensor(target) * log, axis=-1))


def covid_and_classes(target, scores):
    """Cross-entropy of the first two columns (COVID or not) plus that of the rest (classes)."""
    target = ops.convert_to_tensor(target)
    return categorical_cross_entropy(target[:, :2], scores[:, :2]) + categorical_cross_entropy(
        target[:, 2:], scores[:, 2:]
    )


def binary_cross_entropy(target, probability):
    """Cross-entropy of one sigmoid unit against the first column of one-hot targets."""
    target = ops.convert_to_tensor(target)
    return ops.mean(ops.binary_crossentropy(target[:, 0], probability[:, 0]))


LOSSES = {
    "cross_entropy_and_dice": cross_entropy_and_dice,
    "covid_and_classes": covid_and_classes,
    "binary_cross_entropy": binary_cross_entropy,
    "categorical_cross_entropy": categorical_cross_entropy,
}
