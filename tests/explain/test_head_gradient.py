"""The written gradient against automatic differentiation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.explain.head_gradient import evidence, evidence_gradient
from pipeline.models.spec import ARCHITECTURES


def head_after(model: keras.Model, name: str) -> list[keras.layers.Layer]:
    return model.layers[model.layers.index(model.get_layer(name)) + 1 :]


def taped(head, features, covid: int) -> np.ndarray:
    x = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(x)
        said = x
        for layer in head:
            said = layer(said, training=False)
        value = evidence(said, covid)
    return tape.gradient(value, x).numpy()


def some_features(name: str) -> tuple[list[keras.layers.Layer], np.ndarray]:
    """An untrained head with biases, and maps as ReLU makes them, one blank."""
    keras.utils.set_random_seed(5)
    architecture = ARCHITECTURES[name]
    model = architecture.build()
    head = head_after(model, architecture.last_features)
    rng = np.random.default_rng(5)
    for layer in head:
        for variable in layer.weights:
            if len(variable.shape) == 1:  # biases, means, deviations
                variable.assign(variable + rng.uniform(0, 0.1, variable.shape))
    cells = {"light": 27, "xception": 14, "cnn1": 16, "cnn2": 18}[name]
    channels = model.get_layer(architecture.last_features).output.shape[-1]
    features = np.maximum(rng.normal(0, 1, (3, cells, cells, channels)), 0).astype(np.float32)
    features[1] = 0
    features[2, ..., ::3] = 0  # channels where every cell holds the maximum
    return head, features


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "covid"), [*((name, 0) for name in ARCHITECTURES), ("xception", 1), ("cnn1", 2)]
)
def test_what_the_tape_finds(name, covid):
    head, features = some_features(name)
    expected = taped(head, features, covid)
    found = np.asarray(evidence_gradient(head, features, covid))
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_a_sure_answer_keeps_its_gradient():
    """Where every other label's probability rounds to 0, the gradient is that of the logit."""
    head = [
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, activation="softmax", kernel_initializer="identity"),
    ]
    features = np.zeros((1, 2, 2, 2), np.float32)
    features[..., 0] = 200
    found = np.asarray(evidence_gradient(head, features, 0))
    np.testing.assert_allclose(found[0, 0, 0, 0], 0.25)
    assert np.isfinite(found).all()


def test_an_unknown_layer_is_refused():
    pool = keras.layers.GlobalAveragePooling2D()
    head = [keras.layers.AveragePooling2D(2), pool, keras.layers.Dense(2, activation="softmax")]
    with pytest.raises(TypeError, match="AveragePooling2D"):
        evidence_gradient(head, np.ones((1, 4, 4, 2), np.float32), 0)
    head = [
        pool,
        keras.layers.Dense(3, activation="tanh"),
        keras.layers.Dense(2, activation="softmax"),
    ]
    with pytest.raises(TypeError, match="activation 'tanh'"):
        evidence_gradient(head, np.ones((1, 4, 4, 2), np.float32), 0)
