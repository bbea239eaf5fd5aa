"""Parameter counts and feature sizes are part of the specification."""

import keras
import numpy as np
import pytest

from pipeline.models.graph import OUTPUTS, build_graph
from pipeline.models.light_cnn import build_light_cnn
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet


@pytest.fixture(scope="module")
def graph() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_graph(build_unet(), build_light_cnn(), "stage4_relu2", 256)


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


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(64, 64), (300, 299), (97, 513)])
def test_graph_takes_any_size(graph, shape):
    image = np.random.default_rng(0).uniform(0, 255, (2, *shape, 1)).astype(np.float32)
    outputs = graph(image)
    assert tuple(outputs) == OUTPUTS
    for name in OUTPUTS[:4]:
        assert outputs[name].shape == (2, 256, 256, 1), name
    assert outputs["features"].shape == (2, 27, 27, 128)
    np.testing.assert_allclose(np.sum(outputs["probabilities"], axis=1), 1, rtol=1e-5)
    mask = np.asarray(outputs["mask"])
    np.testing.assert_array_equal(mask, np.rint(outputs["mask_probability"]))
    assert not np.asarray(outputs["masked_film"])[mask == 0].any()


def test_mask_does_not_depend_on_exposure(graph, films):
    image = films["clear"][0].astype(np.float32)[None, ::2, ::2, None]
    halved = np.floor(image / 2) + 64
    levels = np.unique(np.floor(image / 2)).size
    twice = graph(np.floor(image / 2) * 2)["mask_probability"]
    assert levels > 50
    np.testing.assert_allclose(graph(halved)["mask_probability"], twice, atol=0.02)


def test_graph_never_augments(graph, films):
    image = films["clear"][0].astype(np.float32)[None, ..., None]
    first, second = (np.asarray(graph(image)["features"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_augmentation_is_active_in_training_only():
    light = build_light_cnn()
    rotated = keras.Model(light.input, light.get_layer("augment_rotation").output)
    image = np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
    np.testing.assert_array_equal(rotated(image, training=False), image)
    assert np.abs(rotated(image, training=True) - image).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_classifiers_are_as_specified(name):
    architecture = ARCHITECTURES[name]
    model = architecture.build()
    assert model.count_params() == architecture.parameters
    size = architecture.input_size
    assert model(np.zeros((1, size, size, 1), np.float32)).shape[0] == 1


@pytest.mark.slow
def test_xception_trunk_ends_at_block_5():
    xception = ARCHITECTURES["xception"].build()
    trunk = keras.Model(xception.input, xception.get_layer("head_conv1").input)
    assert trunk.count_params() == 2_731_968
    assert trunk(np.zeros((1, 224, 224, 1), np.float32)).shape == (1, 14, 14, 728)
    original = keras.applications.Xception(include_top=False, weights=None)
    cut = keras.Model(original.input, original.layers[45].output)
    assert [w.shape for w in trunk.weights] == [w.shape for w in cut.weights]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_stride_and_offset_say_where_a_feature_looks(name):
    """Where the answer of a blank image changes when one pixel is lit, and where it is said to."""
    architecture = ARCHITECTURES[name]
    keras.utils.set_random_seed(0)
    model = architecture.build()
    trunk = keras.Model(model.input, model.get_layer(architecture.last_features).output)
    size, top = architecture.input_size, 1.0 if architecture.masked else 255.0
    images = np.full((2, size, size, 1), 0.3 * top, np.float32)
    row, column = int(0.4 * size), int(0.6 * size)
    images[1, row - 1 : row + 2, column - 1 : column + 2] = top
    blank, lit = np.asarray(trunk(images, training=False))
    change = np.square(lit - blank).sum(-1)
    cells = np.arange(len(change))
    for weights, pixel in ((change.sum(1), row), (change.sum(0), column)):
        centre = (weights * cells).sum() / weights.sum()
        looked_at = architecture.offset + architecture.stride * centre
        assert abs(looked_at - pixel) <= architecture.stride
