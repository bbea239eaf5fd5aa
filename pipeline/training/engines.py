"""Choose what a training step runs on."""

import importlib.util
from collections.abc import Callable

import keras
import numpy as np


def make_engine(model: keras.Model, loss: str, seed: int, kind: str = "auto"):
    """A `TorchEngine` where PyTorch is installed, otherwise a `KerasEngine`."""
    if kind == "auto":
        kind = "torch" if importlib.util.find_spec("torch") else "keras"
    if kind == "torch":
        from pipeline.training.torch_engine import TorchEngine

        return TorchEngine(model, loss, seed)
    from pipeline.training.keras_engine import KerasEngine

    return KerasEngine(model, loss, seed)


def predictor_of(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The model in inference mode, batches of float32 in and out, on the faster engine."""
    return make_engine(model, "categorical_cross_entropy", seed=0).predict
