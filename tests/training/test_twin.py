"""The PyTorch twin of a Keras model computes what Keras computes, and gives the weights back."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
from keras import layers

from pipeline.layers.three_channels import ThreeChannels
from pipeline.models.registry import ROOT
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.training.twin import TorchTwin

BUILDERS = {"unet": (build_unet, 96)} | {
    name: (a.build, a.input_size) for name, a in ARCHITECTURES.items()
}


def stirred(model: keras.Model) -> keras.Model:
    """Statistics and offsets away from their initial 0 and 1."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([w + rng.uniform(0, 0.1, w.shape) for w in layer.get_weights()])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_twin_computes_what_keras_computes(name):
    build, size = BUILDERS[name]
    model = stirred(build())
    images = np.random.default_rng(1).random((2, size, size, 1), np.float32)
    before = [w.copy() for w in model.get_weights()]
    twin = TorchTwin(model).eval()
    with torch.inference_mode():
        ours = twin(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(ours, model(images, training=False), atol=2e-5)
    twin.write_back()
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def through(*stack) -> keras.Model:
    image = x = keras.Input((12, 12, 1))
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize("size", [12, 13])
@pytest.mark.parametrize(
    "stack",
    [
        (layers.Conv2D(3, 4, padding="same"), layers.MaxPooling2D(2, padding="same")),
        (layers.Conv2D(3, 3, strides=2, padding="same"), layers.ReLU()),
        (layers.Conv2D(3, 3, padding="same"), layers.MaxPooling2D(3, 2, padding="same")),
        (layers.Conv2D(3, 3, padding="valid"), layers.MaxPooling2D(2)),
        (layers.Conv2D(40, 1), layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2)),
        (layers.Conv2D(4, 1), layers.SeparableConv2D(5, 4, depth_multiplier=2)),
        (layers.UpSampling2D(2), layers.GlobalAveragePooling2D()),
        (layers.Conv2D(3, 1, activation="sigmoid"), layers.GlobalMaxPooling2D()),
    ],
    ids=lambda stack: "-".join(layer.name for layer in stack) if isinstance(stack, tuple) else None,
)
def test_every_kind_of_layer_on_even_and_odd_sizes(stack, size):
    image = x = keras.Input((size, size, 1))
    for layer in (type(one).from_config(one.get_config()) for one in stack):
        x = layer(x)
    model = stirred(keras.Model(image, x))
    images = np.random.default_rng(1).normal(0, 1, (2, size, size, 1)).astype(np.float32)
    with torch.inference_mode():
        ours = TorchTwin(model).eval()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(ours, model(images), atol=1e-5)


def test_three_channels_are_image_brightened_copy_and_edges():
    """Of a step from 0.2 to 0.9: the second channel is 1.5 times the first up to white."""
    image = np.full((1, 12, 12, 1), 0.2, np.float32)
    image[:, :, 6:] = 0.9
    model = through(ThreeChannels())
    twin = TorchTwin(model)
    for channels in (np.asarray(model(image)), twin(torch.from_numpy(image)).detach().numpy()):
        left, right = (channels[0, 5, 2] + 1) / 2, (channels[0, 5, 9] + 1) / 2
        np.testing.assert_allclose(left, [0.2, 0.3, 0], atol=1e-5)
        np.testing.assert_allclose(right, [0.9, 1.0, 0], atol=1e-5)
        np.testing.assert_allclose((channels[0, 5, 6, 2] + 1) / 2, 0.7, atol=1e-5)


def test_batch_statistics_move_as_in_keras():
    model = through(layers.BatchNormalization(momentum=0.9))
    images = np.random.default_rng(0).normal(3, 2, (16, 12, 12, 1)).astype(np.float32)
    twin = TorchTwin(model).train()
    twin(torch.from_numpy(images))
    model(images, training=True)
    expected = model.get_weights()
    twin.write_back()
    assert expected[2] == pytest.approx(0.1 * images.mean(), rel=1e-4)
    for ours, theirs in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize(
    "layer",
    [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.04, fill_mode="constant"),
        layers.RandomZoom(0.1, fill_mode="constant"),
        layers.SpatialDropout2D(0.5),
    ],
)
def test_what_varies_does_so_in_training_only(layer):
    twin = TorchTwin(through(layer))
    images = torch.rand(8, 12, 12, 1) + 0.5
    torch.testing.assert_close(twin.eval()(images), images)
    torch.manual_seed(0)
    first = twin.train()(images)
    assert not torch.equal(first, images)
    torch.manual_seed(0)
    torch.testing.assert_close(twin(images), first)


def test_flips_are_of_each_image_by_itself():
    twin = TorchTwin(through(layers.RandomFlip("horizontal"))).train()
    images = torch.rand(200, 12, 12, 1)
    flipped = (twin(images) == images.flip(2)).flatten(1).all(1)
    kept = (twin(images) == images).flatten(1).all(1)
    assert 60 < int(flipped.sum()) < 140 and 60 < int(kept.sum()) < 140


def test_rotation_stays_within_its_bound():
    """Fifteen degrees of a single bright row never turn it by more."""
    twin = TorchTwin(through(layers.RandomRotation(15 / 360, fill_mode="constant"))).train()
    images = torch.zeros(100, 12, 12, 1)
    images[:, 5:7] = 1
    turned = twin(images)[..., 0].detach().numpy()
    rows = (turned * np.arange(12)[None, :, None]).sum(1) / turned.sum(1)
    slopes = np.polyfit(np.arange(2, 10), rows[:, 2:10].T, 1)[0]
    degrees = np.degrees(np.arctan(slopes))
    assert 10 < np.abs(degrees).max() < 17 and degrees.min() < -5 < 5 < degrees.max()


def test_a_layer_without_a_twin_is_refused():
    with pytest.raises(TypeError, match=r"LayerNormalization.* has no twin"):
        TorchTwin(through(layers.LayerNormalization()))
    with pytest.raises(TypeError, match="dilation"):
        TorchTwin(through(layers.Conv2D(2, 3, dilation_rate=2)))
    with pytest.raises(TypeError, match="activation has no twin"):
        TorchTwin(through(layers.Conv2D(2, 3, activation="gelu")))


@pytest.mark.slow
def test_trained_weights_reach_keras_on_its_torch_backend():
    code = """
import keras, numpy as np, torch
from pipeline.models.light_cnn import build_light_cnn
from pipeline.training.twin import TorchTwin
assert keras.backend.backend() == "torch"
model = build_light_cnn()
twin = TorchTwin(model).eval()
with torch.no_grad():
    for parameter in twin.parameters():
        parameter += 0.01
before = model.get_weights()[0].copy()
twin.write_back()
np.testing.assert_allclose(model.get_weights()[0], before + 0.01, atol=1e-6)
images = np.random.default_rng(0).random((2, 64, 64, 1), np.float32)
with torch.no_grad():
    np.testing.assert_allclose(
        twin(torch.from_numpy(images)), model.predict_on_batch(images), atol=1e-5
    )
"""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)
