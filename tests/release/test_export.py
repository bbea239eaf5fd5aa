"""What is exported says what the app says, from the raw image on."""

import json

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from pipeline.cli.main import main
from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.models import registry


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    """Images smaller and larger than the graph's size, and one that is not square."""
    sizes = {"clear": 512, "opacities": 200, "lettering": 777}
    images = [draw_film(EXAMPLES[name], size)[0] for name, size in sizes.items()]
    return [image.astype(np.float32) for image in (*images, images[0][:, 40:480])]


@pytest.mark.slow
def test_a_saved_model_is_the_graph(drawn, predictor, tmp_path):
    assert main(["export", "--format", "savedmodel", "--out", str(tmp_path / "light")]) == 0
    loaded = tf.saved_model.load(tmp_path / "light")
    for image in drawn:
        said, own = loaded.serve(image[None, ..., None]), predictor(image)
        assert np.array_equal(said["mask"][0, ..., 0], own.mask)
        np.testing.assert_allclose(said["probabilities"][0], own.probabilities, atol=1e-5)


@pytest.mark.slow
def test_onnx_is_the_graph_but_for_the_last_digits(drawn, predictor, tmp_path):
    path = tmp_path / "light.onnx"
    assert main(["export", "--format", "onnx", "--out", str(path)]) == 0
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for image in drawn:
        said = dict(
            zip(
                (output.name for output in session.get_outputs()),
                session.run(None, {"film": image[None, ..., None]}),
                strict=True,
            )
        )
        own = predictor(image)
        assert (said["mask"][0, ..., 0] != own.mask).mean() <= 1e-4
        np.testing.assert_allclose(said["probabilities"][0], own.probabilities, atol=1e-4)
    described = json.loads((tmp_path / "light.onnx.json").read_text())
    assert described["weights_sha256"] == registry.entry("light").sha256


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "light.onnx").write_bytes(b"mine")
    assert main(["export", "--format", "onnx", "--out", str(tmp_path / "light.onnx")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "light.onnx").read_bytes() == b"mine"
