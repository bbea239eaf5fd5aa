"""The shipped graph for other programs: ``python -m pipeline export``.

What is exported takes a raw image of any size, float32 (batch, rows, columns, 1) in 0..255, under
the name ``film``, and gives ``mask_probability`` and ``mask`` (batch, size, size, 1) and
``probabilities`` (batch, labels). The quality gate is not in it: who uses it must judge the mask.
"""

import json
from pathlib import Path

import keras

from pipeline.inference.predictor import Predictor
from pipeline.release.compiled import write_onnx

FORMATS = ("savedmodel", "onnx")
OUTPUTS = ("mask_probability", "mask", "probabilities")


def export(model: str, form: str, path: Path) -> None:
    """Write a model's graph; beside it ``path.json`` says what it is.

    ``form``: "savedmodel" (a folder) or "onnx" (a file). Raises FileExistsError, and
    RuntimeError where the packages for ONNX are not installed.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already: name another place.")
    predictor = Predictor(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = {name: predictor.graph.output[name] for name in OUTPUTS}
    graph = keras.Model(predictor.graph.input, chosen)
    if form == "onnx":
        films = {"film": (None, None, None, 1)}
        write_onnx(lambda film: graph(film, training=False), path, films)
    else:
        graph.export(path, format="tf_saved_model", verbose=False)
    description = {
        "model": model,
        "weights_sha256": predictor.entry.sha256,
        "unet_sha256": predictor.unet_entry.sha256,
        "labels": predictor.entry.labels,
        "threshold": predictor.entry.threshold,
        "input": "film: float32 (batch, rows, columns, 1) in 0..255, bright is dense",
        "outputs": OUTPUTS,
        "note": "No quality gate is in the graph. Not for diagnostic use.",
    }
    path.with_name(path.name + ".json").write_text(json.dumps(description, indent=1) + "\n")
