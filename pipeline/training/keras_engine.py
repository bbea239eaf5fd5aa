"""One training step, one prediction and the exact state of a run, with Keras on any backend."""

from pathlib import Path

import keras
import numpy as np
from keras import ops


class KerasEngine:
    """Trains a Keras model with the backend that Keras runs on."""

    def __init__(self, model: keras.Model, loss: str, seed: int):
        keras.utils.set_random_seed(seed)
        self.model, self.loss = model, LOSSES[loss]
        self.rotations = {
            layer: layer.factor
            for layer in model.layers
            if isinstance(layer, keras.layers.RandomRotation)
        }
        self.optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-7)
        model.compile(optimizer=self.optimizer, loss=self.loss)
        self.optimizer.build(model.trainable_variables)

    def rotate(self, on: bool) -> None:
        """Switch the model's own random rotations on or off; flips, which blur nothing, stay."""
        for layer, factor in self.rotations.items():
            layer.factor = factor if on else (0.0, 0.0)
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

    def keras_model(self) -> keras.Model:
        """The Keras model, with the weights as they are now."""
        return self.model

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


LOSSES = {
    "cross_entropy_and_dice": cross_entropy_and_dice,
    "categorical_cross_entropy": categorical_cross_entropy,
}
