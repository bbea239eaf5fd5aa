"""One training step, one prediction and the exact state of a run, with Keras on any backend."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

# Attributes of Keras's augmenting layers that hold how far they go.
RANGES = ("factor", "height_lower", "height_upper", "width_lower", "width_upper")


class KerasEngine:
    """Trains a Keras model with the backend that Keras runs on."""

    def __init__(self, model: keras.Model, loss: str, seed: int):
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

    def rotate(self, on: bool) -> None:
        """Switch random rotations and zooms on or off; flips, which blur nothing, stay."""
        for layer, ranges in self.turns.items():
            for name, value in ranges.items():
                setattr(layer, name, value if on else _nothing_of(value))
        self.model.make_train_function(force=True)

    def step(self, films: np.ndarray, targets: np.ndarray, learning_rate: float) -> float:
        """Take one Adam step; return the batch's loss."""
        self.optimizer.learning_rate.assign(learning_rate)
        return float(self.model.train_on_batch(films, targets))

    def predict(self, films: np.ndarray) -> np.ndarray:
        """The model's output, float32, in inference mode."""
        return np.asarray(self.model.predict_on_batch(films))

    def evaluate(self, films: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
        """Output and mean loss of one batch, in inference mode."""
        output = self.predict(films)
        return output, float(ops.convert_to_numpy(self.loss(targets, output)))

    def write_back(self) -> None:
        """Give the Keras model the weights as they are now: it has them."""

    def save(self, path) -> None:
        """Write all that the next step depends on: weights, Adam's moments, random state."""
        with Path(path).open("wb") as file:
            np.savez(file, *[ops.convert_to_numpy(v) for v in self._variables()])

    def load(self, path) -> None:
        """Take up the state that `save` wrote."""
        with np.load(path) as state:
            for variable, value in zip(self._variables(), state.values(), strict=True):
                variable.assign(value)

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
