"""Which engine computes a model's answers on this machine."""

import importlib.util
import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.inference.base_predictor import BasePredictor
from pipeline.models import registry

if TYPE_CHECKING:
    from pipeline.inference.predictor import Predictor

log = logging.getLogger(__name__)
ENGINES = ("auto", "keras", "onnx")
CARDS = ("nvidia[0-9]*", "dxg", "kfd")  # in /dev: Nvidia's, Windows' for Linux, AMD's


def load_predictor(
    name: str, engine: str | None = None, folder: Path | None = None
) -> BasePredictor:
    """Load a model on the engine that suits this machine.

    ``engine``: one of `ENGINES`, by default ``PULMOSCOPE_ENGINE``, by default "auto": Keras where
    TensorFlow sees a graphics card, else ONNX Runtime. A compiled graph that is missing, damaged
    or made from other weights is not used: the log says so and Keras answers, where it is
    installed. Raises `registry.WeightsError` where no engine has what it needs, ValueError for an
    unknown engine.
    """
    engine = engine or os.environ.get("PULMOSCOPE_ENGINE", "").strip() or "auto"
    if engine not in ENGINES:
        raise ValueError(f"the engine is one of {', '.join(ENGINES)}, received {engine!r}.")
    if engine == "onnx" or (engine == "auto" and not sees_graphics_card()):
        from pipeline.inference.onnx_predictor import OnnxPredictor

        try:
            return OnnxPredictor(name, folder)
        except registry.WeightsError as error:
            if not keras_is_installed() or error.message.code != "not_compiled":
                raise
            log.warning("%s Keras answers instead.", error.message.sentence())
    from pipeline.inference.predictor import Predictor

    return Predictor(name, folder)


def on_keras(predictor: BasePredictor) -> "Predictor":
    """The same model on Keras, whose layers can be looked at; loaded once, which takes seconds."""
    if predictor.engine == "keras":
        return predictor
    return _on_keras(predictor.entry.name, predictor.entry.sha256, predictor.folder)


@cache
def _on_keras(name: str, _sha256: str, folder: Path | None) -> "Predictor":
    from pipeline.inference.predictor import Predictor

    return Predictor(name, folder)


def keras_is_installed() -> bool:
    """Whether TensorFlow is there; an image for ONNX Runtime alone is built without it."""
    return importlib.util.find_spec("tensorflow") is not None


@cache
def sees_graphics_card() -> bool:
    """Whether TensorFlow would compute on a graphics card; loaded only where one may be there."""
    if not any(any(Path("/dev").glob(card)) for card in CARDS) or not keras_is_installed():
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def describe(engine: str) -> str:
    """An engine, "keras" or "onnx", by its name and version."""
    if engine == "onnx":
        import onnxruntime

        return f"ONNX Runtime {onnxruntime.__version__}"
    import keras
    import tensorflow as tf

    return f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
