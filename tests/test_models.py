"""Parameter counts and feature sizes are part of the specification."""

import keras
import numpy as np
import pytest

from pipeline.graph import OUTPUTS, build_graph
from pipeline.models import light_cnn
from pipeline.models.light_cnn import build_light_cnn
from pipeline.models.unet import build_unet


@pytest.fixture(scope="module")
def graph() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_graph(build_unet(), build_light_cnn(), light_cnn.LAST_FEATURES, 256)


def test_parameter_counts(graph):
    unet, light = build_unet(), build_light_cnn()
    assert unet.count_params() == 599_073
    assert light.count_params() == 79_410
    assert graph.count_params() == 678_483
    graph.get_layer("unet").trainable = False
    trainable = sum(int(np.prod(v.shape)) for v in graph.trainable_variables)
    graph.get_layer("unet").trainable = True
    assert trainable == 78_930


def test_light_feature_sizes():
    light = build_light_cnn()
    names = [f"stage{s}_sepconv{c}" for s in range(1, 5) for c in (1, 2)]
    every = keras.Model(light.input, [light.get_layer(n).output for n in names])
    sizes = [f.shape[1] for f in every(np.zeros((1, 256, 256, 1), np.float32))]
    assert sizes == [256, 253, 127, 124, 62, 59, 30, 27]


def test_unet_is_fully_convolutional():
    unet = build_unet()
    for size in (224, 256):
        assert unet(np.zeros((1, size, size, 1), np.float32)).shape == (1, size, size, 1)


def test_every_layer_is_named_for_its_block():
    names = [layer.name for layer in build_unet().layers + build_light_cnn().layers]
    assert not [n for n in names if n.rstrip("0123456789_") in ("conv2d", "dense_", "add")]


@pytest.mark.parametrize("shape", [(64, 64), (300, 299), (97, 513)])
def test_graph_takes_any_size(graph, shape):
    film = np.random.default_rng(0).uniform(0, 255, (2, *shape, 1)).astype(np.float32)
    outputs = graph(film)
    assert tuple(outputs) == OUTPUTS
    for name in OUTPUTS[:4]:
        assert outputs[name].shape == (2, 256, 256, 1), name
    assert outputs["features"].shape == (2, 27, 27, 128)
    np.testing.assert_allclose(np.sum(outputs["probabilities"], axis=1), 1, rtol=1e-5)
    mask = np.asarray(outputs["mask"])
    np.testing.assert_array_equal(mask, np.rint(outputs["mask_probability"]))
    assert not np.asarray(outputs["masked_film"])[mask == 0].any()


def test_mask_does_not_depend_on_exposure(graph, films):
    film = films["clear"][0].astype(np.float32)[None, ::2, ::2, None]
    halved = np.floor(film / 2) + 64
    levels = np.unique(np.floor(film / 2)).size
    twice = graph(np.floor(film / 2) * 2)["mask_probability"]
    assert levels > 50
    np.testing.assert_allclose(graph(halved)["mask_probability"], twice, atol=0.02)


def test_graph_never_augments(graph, films):
    film = films["clear"][0].astype(np.float32)[None, ..., None]
    first, second = (np.asarray(graph(film)["features"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_augmentation_is_active_in_training_only():
    light = build_light_cnn()
    rotated = keras.Model(light.input, light.get_layer("augment_rotation").output)
    film = np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
    np.testing.assert_array_equal(rotated(film, training=False), film)
    assert np.abs(rotated(film, training=True) - film).max() > 0.1


def test_stride_and_offset_say_where_a_feature_looks():
    """Light one pixel: the linear response of the trunk is centred where the geometry says."""
    light = build_light_cnn()
    for layer in light.layers:
        if isinstance(layer, keras.layers.SeparableConv2D):
            layer.set_weights([np.ones_like(w) for w in layer.get_weights()])
    trunk = keras.Model(light.input, light.get_layer(light_cnn.LAST_FEATURES).output)
    film = np.zeros((1, 256, 256, 1), np.float32)
    film[0, 120, 160] = 1
    response = np.asarray(trunk(film, training=False))[0].sum(-1)
    rows, columns = np.nonzero(response > 0)
    for cells, pixel in ((rows, 120), (columns, 160)):
        looked_at = light_cnn.OFFSET + light_cnn.STRIDE * (cells.min() + cells.max()) / 2
        assert abs(looked_at - pixel) <= light_cnn.STRIDE / 2
