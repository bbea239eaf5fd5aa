"""Choose what a training step runs on."""

import importlib.util
import os
from collections.abc import Callable

import keras
import numpy as np


def make_engine(
    model: keras.Model, loss: str, seed: int, kind: str = "auto", averaging: float = 0.0
):
    """A `TorchEngine` where PyTorch is installed, otherwise a `KerasEngine`."""
    if kind == "auto":
        kind = "torch" if importlib.util.find_spec("torch") else "keras"
    if kind == "torch":
        # Threads that wait give their core to others; a step takes no longer for it.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from pipeline.training.torch_engine import TorchEngine

        return TorchEngine(model, loss, seed, averaging)
    from pipeline.training.keras_engine import KerasEngine

    return KerasEngine(model, loss, seed, averaging)


def predictor_of(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The model in inference mode, batches of float32 in and out, on the faster engine."""
    return make_engine(model, "categorical_cross_entropy", seed=0).predict
