"""The resize against its formula in float64 and against TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.layers.portable_resize import PortableResize

SHAPES = [(1, 1), (2, 700), (64, 64), (255, 257), (224, 256), (1000, 701), (3000, 2500)]


def exactly(image: np.ndarray, size: int) -> np.ndarray:
    """The triangle filter, float64, with its whole matrix of weights."""

    def weights(count):
        step = count / size
        centres = (np.arange(size) + 0.5) * step
        distance = np.abs((np.arange(count) + 0.5)[None] - centres[:, None])
        shares = np.maximum(1 - distance / max(step, 1), 0)
        return shares / shares.sum(axis=1, keepdims=True)

    rows, columns = image.shape
    return weights(rows) @ image.astype(np.float64) @ weights(columns).T


def half_noise(shape) -> np.ndarray:
    image = np.random.default_rng(3).uniform(0, 255, shape).astype(np.float32)
    image[: shape[0] // 3] = 0
    image[:, shape[1] // 2 :] = 255
    return image


@pytest.mark.parametrize("size", [256, 224, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_exact_and_what_tensorflow_does(shape, size):
    image = half_noise(shape)
    resized = np.asarray(PortableResize(size)(image[None, ..., None]))[0, ..., 0]
    np.testing.assert_allclose(resized, exactly(image, size), atol=1e-3)
    own = tf.image.resize(image[None, ..., None], (size, size), antialias=True)[0, ..., 0]
    np.testing.assert_allclose(resized, own, atol=1e-2)


@pytest.mark.slow
def test_the_largest_image():
    """8,000 pixels a side: positions are exact and nothing but the image is large."""
    image = np.tile(half_noise((800, 800)), (10, 10))
    resized = np.asarray(PortableResize(256)(image[None, ..., None]))[0, ..., 0]
    np.testing.assert_allclose(resized, exactly(image, 256), atol=1e-3)


def test_an_image_of_that_size_is_left_as_it_is():
    image = half_noise((224, 224))[None, ..., None]
    np.testing.assert_array_equal(PortableResize(224)(image), image)


def test_layer_contract(tmp_path):
    """Unknown sizes, symbolic call, config round trip, saved and loaded."""
    image = keras.Input((None, None, 1))
    model = keras.Model(image, PortableResize(64, name="resize")(image))
    assert model.output.shape == (None, 64, 64, 1)
    assert PortableResize(64).compute_output_shape((2, 30, 50, 1)) == (2, 64, 64, 1)
    assert model.count_params() == 0
    config = PortableResize(64, name="resize").get_config()
    assert PortableResize.from_config(config).get_config() == config
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for shape in ((2, 30, 50, 1), (3, 64, 200, 1)):
        x = np.random.default_rng(0).random(shape, np.float32)
        np.testing.assert_array_equal(again.predict(x, verbose=0), PortableResize(64)(x))
