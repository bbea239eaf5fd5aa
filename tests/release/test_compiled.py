"""What is compiled says what Keras says, in the operations that are fast."""

import cv2
import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from pipeline.layers.hist_norm import HistNorm
from pipeline.release.compiled import write_onnx


@pytest.fixture
def compiled(tmp_path):
    """A function that compiles a layer for images of some channels, and asks the file."""

    def ask(layer, images: np.ndarray) -> tuple[np.ndarray, list]:
        path = tmp_path / "layer.onnx"
        shape = (None, None, None, images.shape[-1])
        write_onnx(lambda film: {"made": layer(film)}, path, {"film": shape})
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(["made"], {"film": images})[0], list(onnx.load(path).graph.node)

    return ask


def groups_of(nodes) -> list[int]:
    return [
        a.i for node in nodes if node.op_type == "Conv" for a in node.attribute if a.name == "group"
    ]


@pytest.mark.parametrize("multiplier", [1, 2, 3])
def test_separable_convolutions_see_a_channel_as_often_as_they_use_it(compiled, multiplier):
    keras.utils.set_random_seed(1)
    layer = keras.layers.SeparableConv2D(5, 3, depth_multiplier=multiplier, use_bias=False)
    images = np.random.default_rng(0).random((2, 9, 8, 4), np.float32)
    made, nodes = compiled(layer, images)
    np.testing.assert_allclose(made, layer(images), atol=1e-5)
    assert sorted(groups_of(nodes)) == [1, 4 * multiplier]


def test_weights_that_something_else_uses_stay_as_they_are(compiled):
    keras.utils.set_random_seed(2)
    layer = keras.layers.SeparableConv2D(4, 3, depth_multiplier=2, use_bias=False)
    images = np.random.default_rng(0).random((1, 9, 9, 4), np.float32)
    made, nodes = compiled(lambda film: layer(film) + layer(2.0 * film + 1.0), images)
    np.testing.assert_allclose(made, layer(images) + layer(2 * images + 1), atol=1e-5)
    assert sorted(groups_of(nodes)) in ([1, 1, 4, 4], [1, 1, 8, 8])  # shared by tf2onnx, or not


def test_equalising_is_opencv_bit_for_bit_and_counts_in_place(compiled):
    levels = np.random.default_rng(0).integers(0, 200, (3, 40, 50), np.uint8)
    levels[2] = 7
    made, nodes = compiled(HistNorm(), levels[..., None] / np.float32(255))
    right = [cv2.equalizeHist(one) for one in levels[:2]] + [levels[2]]
    np.testing.assert_array_equal(made[..., 0], np.stack(right) / np.float32(255))
    kinds = {node.op_type for node in nodes}
    assert {"ScatterElements", "GatherElements"} <= kinds
