"""HistNorm against OpenCV, alone and in a graph."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.layers.hist_norm import HistNorm

# (levels of one image, what equalising them gives), worked out by hand from the formula.
GOLDEN = [
    ([[0, 0], [1, 2]], [[0, 0], [128, 255]]),  # 127.5 goes to the even level
    ([[10, 10], [10, 20]], [[0, 0], [0, 255]]),
    ([[7, 7], [7, 7]], [[7, 7], [7, 7]]),
    ([[0, 85, 170, 255]], [[0, 85, 170, 255]]),
    ([[3, 4, 5, 6, 7]], [[0, 64, 128, 191, 255]]),
]


def equalise(images: np.ndarray, **kwargs) -> np.ndarray:
    """uint8 (image, rows, columns) through the layer; exact levels come back as uint8."""
    scaled = images[..., None].astype(np.float32) / np.float32(255)
    result = np.asarray(HistNorm()(scaled, **kwargs))[..., 0]
    levels = np.rint(result * 255).astype(np.uint8)
    np.testing.assert_array_equal(result, levels.astype(np.float32) / np.float32(255))
    return levels


@pytest.mark.parametrize(("levels", "expected"), GOLDEN)
def test_golden(levels, expected):
    image = np.array([levels], np.uint8)
    np.testing.assert_array_equal(equalise(image)[0], expected)
    np.testing.assert_array_equal(cv2.equalizeHist(image[0]), expected)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
        elements=st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 128, 254, 255])),
    )
)
def test_equals_opencv_image_by_image(images):
    expected = np.stack([cv2.equalizeHist(image) for image in images])
    np.testing.assert_array_equal(equalise(images), expected)


def test_equals_opencv_when_compiled(films):
    compiled = tf.function(HistNorm(), jit_compile=True)
    batch = np.stack([image for image, _ in films.values()])
    result = compiled(tf.constant(batch[..., None].astype(np.float32) / np.float32(255)))
    expected = np.stack([cv2.equalizeHist(image) for image in batch]).astype(np.float32)
    np.testing.assert_array_equal(result[..., 0], expected / np.float32(255))


def test_equals_opencv_on_masked_images(films):
    masked = np.stack([image * (lungs // 255) for image, lungs in films.values()])
    expected = np.stack([cv2.equalizeHist(image) for image in masked])
    np.testing.assert_array_equal(equalise(masked), expected)


def test_images_of_a_batch_do_not_touch_each_other(films):
    batch = np.stack([image for image, _ in films.values()])
    alone = np.concatenate([equalise(image[None]) for image in batch])
    np.testing.assert_array_equal(equalise(batch), alone)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.4, 2.5))
def test_monotone_change_of_exposure_is_undone(gamma):
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    darker = (255 * (ramp / 255.0) ** gamma).astype(np.uint8)
    if len(np.unique(darker)) == len(np.unique(ramp)):
        np.testing.assert_array_equal(equalise(ramp[None]), equalise(darker[None]))


def test_training_has_no_effect(films):
    image = films["clear"][0][None]
    np.testing.assert_array_equal(equalise(image, training=True), equalise(image, training=False))


def test_over_lungs_counts_lung_pixels_only(films):
    image, lungs = (plane[None, ..., None] for plane in films["clear"])
    inside = lungs > 0
    masked = np.where(inside, image, 0).astype(np.float32) / np.float32(255)
    result = np.asarray(HistNorm(over="lungs")(masked, inside.astype(np.float32)))
    strip = image[inside][None]  # the lungs' pixels as an image of one row
    expected = cv2.equalizeHist(strip)[0]
    np.testing.assert_array_equal(np.rint(result[inside] * 255), expected)
    assert not result[~inside].any()


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="over is 'image' or 'lungs', received 'lung'"):
        HistNorm(over="lung")
    with pytest.raises(ValueError, match="takes an image and lungs"):
        HistNorm(over="lungs")(np.zeros((1, 4, 4, 1), np.float32))


def test_layer_contract(tmp_path):
    """Unknown sizes, symbolic call, config round trip, saved and loaded, half precision policy."""
    image = keras.Input((None, None, 1))
    model = keras.Model(image, HistNorm(name="norm")(image))
    assert model.output.shape == (None, None, None, 1)
    assert model.count_params() == 0
    config = HistNorm(over="lungs", name="norm").get_config()
    assert HistNorm.from_config(config).get_config() == config
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    for shape in ((2, 30, 50, 1), (3, 64, 20, 1)):
        x = rng.random(shape, np.float32)
        np.testing.assert_array_equal(again.predict(x, verbose=0), HistNorm()(x))
    assert HistNorm(dtype="float16").compute_dtype == "float32"
