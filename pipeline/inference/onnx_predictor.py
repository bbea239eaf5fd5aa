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
    """A `BasePredictor` from the file that `pipeline.release.compiled.compile_model` made.

    A session of ONNX Runtime may be asked from many threads at a time. Raises
    `registry.WeightsError` also where the file was made from other weights than the registry's.
    """

    engine = "onnx"

    def __init__(self, name: str, folder: Path | None = None):
        super().__init__(name, folder)
        self._session = open_session(registry.compiled_file(name, folder))
        self._names = [o.name for o in self._session.get_outputs() if o.name in ANSWER]
        size = self.entry.input_size
        empty = np.zeros((1, size, size, 1), np.float32)
        self._empty = {"film": empty, "shown": empty}
        self._only_these = onnxruntime.RunOptions()
        self._only_these.only_execute_path_to_fetches = True

    def classify(self, shown: np.ndarray) -> np.ndarray:
        (scores,) = self._run(["scores"], shown=with_channel(shown))
        return scores[:, self.covid]

    def _answer(self, films: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._names, self._run(self._names, film=films), strict=True))

    def _only(self, names: Sequence[str], films: np.ndarray) -> list[np.ndarray]:
        return self._run(names, film=films)

    def _run(self, names: Sequence[str], **inputs: np.ndarray) -> list[np.ndarray]:
        """The named outputs and nothing else; an input that they do not need is an empty image."""
        return self._session.run(names, self._empty | inputs, self._only_these)


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
