"""The gradient of the evidence on the last feature map, written out layer by layer.

Automatic differentiation has no counterpart in ONNX; these formulas are ordinary operations, which
every engine runs. They hold for the heads of `pipeline.models`: a chain of pooling, flattening,
normalisation, convolutions and dense layers that ends in a softmax or a sigmoid.
"""

from typing import Any

import keras
from keras import ops

TINY = 1e-30
Tensor = Any  # of Keras's backend, or symbolic


def evidence(probabilities: Tensor, covid: int) -> Tensor:
    """``-log(1 - p)`` of float (..., labels): float (...).

    1 - p is summed from the other labels, which is exact where p rounds to 1.
    """
    return -ops.log(ops.maximum(_others(probabilities, covid), TINY))


def evidence_gradient(head: list[keras.layers.Layer], features: Tensor, covid: int) -> Tensor:
    """dE/dA of float32 features A (batch, rows, columns, channels), of the same shape.

    ``head``: the layers behind the feature map, each fed by the one before. Raises TypeError for a
    layer whose gradient is not written here.
    """
    inputs = [features]
    for layer in head:
        inputs.append(layer(inputs[-1], training=False))
    probabilities, last = inputs.pop(), head[-1]
    gradient = ops.matmul(_at_logits(probabilities, covid), ops.transpose(last.kernel))
    outputs = inputs[1:]
    for layer, x, y in reversed(list(zip(head[:-1], inputs[:-1], outputs, strict=True))):
        try:
            backwards = _BACKWARDS[type(layer)]
        except KeyError:
            raise TypeError(f"no gradient is written for {type(layer).__name__}.") from None
        gradient = backwards(layer, x, y, gradient)
    return gradient


def evidence_of_cells(head: list[keras.layers.Layer], features: Tensor, covid: int) -> Tensor:
    """What the head says of each cell alone, beyond what it says of no activation at all.

    For heads that begin with global pooling, which of a single cell is the cell itself. Returns
    float32 (batch, rows, columns), never negative.
    """

    def alone(cells: Tensor) -> Tensor:
        for layer in head[1:]:
            cells = layer(cells)
        return evidence(cells, covid)

    return ops.relu(alone(features) - alone(ops.zeros_like(features[:1, :1, :1])))


def _others(probabilities: Tensor, covid: int) -> Tensor:
    if probabilities.shape[-1] == 1:
        return 1.0 - probabilities[..., 0]
    return ops.sum(
        ops.concatenate([probabilities[..., :covid], probabilities[..., covid + 1 :]], axis=-1),
        axis=-1,
    )


def _at_logits(probabilities: Tensor, covid: int) -> Tensor:
    """With S = 1 - p: p for the label's own logit, -p q / S for another label of probability q."""
    if probabilities.shape[-1] == 1:
        return probabilities
    p = probabilities[:, covid : covid + 1]
    share = probabilities / ops.maximum(ops.expand_dims(_others(probabilities, covid), -1), TINY)
    return ops.concatenate([-p * share[:, :covid], p, -p * share[:, covid + 1 :]], axis=-1)


def _through_activation(layer: keras.layers.Layer, y: Tensor, gradient: Tensor) -> Tensor:
    name = layer.activation.__name__
    if name == "linear":
        return gradient
    if name == "relu":
        return ops.where(y > 0, gradient, 0.0)
    raise TypeError(f"no gradient is written for the activation {name!r} of {layer.name}.")


def _dense(layer: keras.layers.Layer, _x: Tensor, y: Tensor, gradient: Tensor) -> Tensor:
    return ops.matmul(_through_activation(layer, y, gradient), ops.transpose(layer.kernel))


def _convolution(layer: keras.layers.Layer, _x: Tensor, y: Tensor, gradient: Tensor) -> Tensor:
    """Of an unpadded convolution by single steps."""
    gradient = _through_activation(layer, y, gradient)
    return ops.conv_transpose(gradient, layer.kernel, strides=1, padding="valid")


def _normalisation(layer: keras.layers.Layer, _x: Tensor, _y: Tensor, gradient: Tensor) -> Tensor:
    return gradient * (layer.gamma / ops.sqrt(layer.moving_variance + layer.epsilon))


def _flatten(_layer: keras.layers.Layer, x: Tensor, _y: Tensor, gradient: Tensor) -> Tensor:
    return ops.reshape(gradient, (-1, *x.shape[1:]))


def _global_mean(_layer: keras.layers.Layer, x: Tensor, _y: Tensor, gradient: Tensor) -> Tensor:
    cells = ops.cast(ops.shape(x)[1] * ops.shape(x)[2], "float32")
    return ops.zeros_like(x) + gradient[:, None, None, :] / cells


def _global_maximum(_layer: keras.layers.Layer, x: Tensor, y: Tensor, gradient: Tensor) -> Tensor:
    """Cells that share the maximum share its gradient."""
    highest = ops.cast(x == y[:, None, None, :], "float32")
    return highest * (gradient / ops.sum(highest, axis=(1, 2)))[:, None, None, :]


def _maximum(layer: keras.layers.Layer, x: Tensor, _y: Tensor, gradient: Tensor) -> Tensor:
    """The first cell of a window that holds its maximum gets its gradient."""
    (high, wide), (rows, columns, channels) = layer.pool_size, x.shape[1:]
    shape = (-1, rows // high, high, columns // wide, wide, channels)
    windows = ops.transpose(ops.reshape(x, shape), (0, 1, 3, 5, 2, 4))
    windows = ops.reshape(windows, (-1, *windows.shape[1:4], high * wide))
    # Not by argmax, which looks at bits of a float in a way that ONNX does not know.
    holds = ops.cast(windows == ops.max(windows, axis=-1, keepdims=True), "float32")
    first = holds * ops.cast(ops.cumsum(holds, axis=-1) == 1, "float32")
    spread = ops.reshape(first * gradient[..., None], (-1, *windows.shape[1:4], high, wide))
    return ops.reshape(ops.transpose(spread, (0, 1, 4, 2, 5, 3)), (-1, rows, columns, channels))


_BACKWARDS = {
    keras.layers.Dense: _dense,
    keras.layers.Conv2D: _convolution,
    keras.layers.BatchNormalization: _normalisation,
    keras.layers.Flatten: _flatten,
    keras.layers.GlobalAveragePooling2D: _global_mean,
    keras.layers.GlobalMaxPooling2D: _global_maximum,
    keras.layers.MaxPooling2D: _maximum,
}
