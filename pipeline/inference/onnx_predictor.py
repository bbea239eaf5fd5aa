"""The engine that serves on a processor: ONNX Runtime, without TensorFlow."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from pipeline.inference.base_predictor import BasePredictor, with_channel
from pipeline.inference.diagnosis import Answer
from pipeline.models import registry

ANSWER = frozenset(Answer.__dataclass_fields__)


class OnnxPredictor(BasePredictor):
    """A `BasePredictor` from the files that `pipeline.release.compiled` made.

    A session of ONNX Runtime may be asked from many threads at a time. Raises
    `registry.WeightsError` also where they were made from other weights than the registry's.
    """

    engine = "onnx"

    def __init__(self, name: str, folder: Path | None = None):
        super().__init__(name, folder)
        front, rear = map(open_session, registry.compiled_files(name, folder))
        self._front, self._rear = front, rear
        self._names = [o.name for o in front.get_outputs() if o.name in ANSWER] + ["shown"]

    def classify(self, shown: np.ndarray) -> np.ndarray:
        (probabilities,) = self._rear.run(["probabilities"], {"shown": with_channel(shown)})
        return probabilities[:, self.covid]

    def _answer(self, films: np.ndarray) -> dict[str, np.ndarray]:
        outputs = dict(zip(self._names, self._only(self._names, films), strict=True))
        said = self._rear.run(None, {"shown": outputs.pop("shown")})
        names = (output.name for output in self._rear.get_outputs())
        return outputs | dict(zip(names, said, strict=True))

    def _only(self, names: Sequence[str], films: np.ndarray) -> list[np.ndarray]:
        return self._front.run(names, {"film": films})


def threads() -> int:
    """How many threads compute: ``OMP_NUM_THREADS``, as for other libraries; 0: one per core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(wanted) if wanted.isdigit() else 0


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A compiled model, ready to be asked on the processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads()
    # Threads that spin while they wait take the processor from everybody else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
