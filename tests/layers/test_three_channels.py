"""The three channels for Xception against their formulas, and the rounding of the mask."""

import cv2
import keras
import numpy as np
import pytest

from pipeline.layers.round_to_mask import RoundToMask
from pipeline.layers.three_channels import ThreeChannels


def channels(image: np.ndarray) -> np.ndarray:
    """float32 (rows, columns) in 0..1 through the layer, back in 0..1: (rows, columns, 3)."""
    return (np.asarray(ThreeChannels()(image[None, ..., None]))[0] + 1) / 2


def test_image_brightened_copy_and_edges():
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    plain, brightened, edges = np.moveaxis(channels(image), -1, 0)
    np.testing.assert_allclose(plain, image, atol=1e-6)
    np.testing.assert_allclose(brightened, np.minimum(1.5 * image, 1), atol=1e-6)
    around = {"ksize": 3, "scale": 0.25, "borderType": cv2.BORDER_CONSTANT}
    slopes = [cv2.Sobel(image, cv2.CV_32F, *of, **around) for of in ((1, 0), (0, 1))]
    np.testing.assert_allclose(edges, np.minimum(np.hypot(*slopes), 1), atol=1e-5)


def test_nothing_leaves_the_range_that_xception_takes():
    image = np.zeros((8, 8), np.float32)
    image[:, 4:] = 1
    found = np.asarray(ThreeChannels()(image[None, ..., None]))
    assert (found.min(), found.max()) == (-1, 1)
    outside = channels(image)[3, 1]
    np.testing.assert_allclose(outside, 0, atol=1e-5, err_msg="what is black stays black")
    assert channels(image)[3, 3, 2] == pytest.approx(1), "a full step is a full edge"


def test_layer_contract(tmp_path):
    image = keras.Input((None, None, 1))
    model = keras.Model(image, ThreeChannels(name="three")(image))
    assert model.output.shape == (None, None, None, 3)
    assert ThreeChannels().compute_output_shape((2, 5, 7, 1)) == (2, 5, 7, 3)
    assert model.count_params() == 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((2, 9, 11, 1), np.float32)
    np.testing.assert_array_equal(again.predict(x, verbose=0), ThreeChannels()(x))


def test_a_probability_above_one_half_is_lung():
    probability = np.array([0, 0.2, 0.5, np.nextafter(np.float32(0.5), 1), 0.9, 1], np.float32)
    mask = np.asarray(RoundToMask()(probability[None, :, None, None]))[0, :, 0, 0]
    assert mask.tolist() == [0, 0, 0, 1, 1, 1]
    assert mask.dtype == np.float32
