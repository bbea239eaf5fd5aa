"""Keras's antialiased resizing in operations that every runtime has."""

from typing import Any

import keras
from keras import KerasTensor, ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="pulmoscope")
class PortableResize(keras.layers.Layer):
    """What ``keras.layers.Resizing(size, size, antialias=True)`` does, as two matrix products.

    TensorFlow does it with an operation of its own, which ONNX does not have. Every output pixel
    is a weighted mean of the input pixels around its centre, with weights that fall in a straight
    line to 0 at one output pixel's distance, or at one input pixel's where the film grows (OpenCV
    and Pillow call it a triangle or bilinear filter).

    Input: float32 (batch, rows, columns, 1), rows and columns unknown. Output: float32 (batch,
    size, size, 1), the same to 0.001 of 255 grey levels. No weights.
    """

    def __init__(self, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size

    def call(self, film: KerasTensor) -> KerasTensor:
        shape = ops.shape(film)
        rows = _weights(shape[1], self.size)
        columns = _weights(shape[2], self.size)
        small = ops.matmul(rows, ops.squeeze(film, -1))
        return ops.expand_dims(ops.matmul(small, ops.transpose(columns)), -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.size, self.size, 1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size}


def _weights(count: Any, size: int) -> KerasTensor:
    """float32 (size, count): how much each of ``count`` pixels counts for each of ``size``."""
    step = ops.cast(count, "float32") / size
    centres = (ops.arange(size, dtype="float32") + 0.5) * step
    pixels = ops.cast(ops.arange(count), "float32") + 0.5
    distance = ops.abs(ops.expand_dims(pixels, 0) - ops.expand_dims(centres, 1))
    weights = ops.maximum(1.0 - distance / ops.maximum(step, 1.0), 0.0)
    return weights / ops.sum(weights, axis=1, keepdims=True)
