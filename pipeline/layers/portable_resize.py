"""Antialiased resizing in operations that every runtime has."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

Shape = tuple[int | None, ...]

BLOCK = 16


@keras.saving.register_keras_serializable(package="pulmoscope")
class PortableResize(keras.layers.Layer):
    """What ``keras.layers.Resizing(size, size, antialias=True)`` does, as matrix products.

    TensorFlow does it with an operation of its own, which ONNX does not have. Every output pixel
    is a weighted mean of the input pixels around its centre, with weights that fall in a straight
    line to 0 at one output pixel's distance, or at one input pixel's where the image grows (OpenCV
    and Pillow call it a triangle or bilinear filter).

    Input: float32 (batch, rows, columns, 1), rows and columns unknown, at most 8,000 each. Output:
    float32 (batch, size, size, 1), exact to 0.001 of 255 grey levels; an image of that size comes
    out as it came. No weights. (TensorFlow rounds the pixels' places to float32 and may lie 0.01
    grey levels off.)

    The matrix of weights is a narrow band. It is cut into blocks of `BLOCK` output rows, each of
    which needs no more than the input rows below it and a margin: a fourteenth of the products of
    the whole matrix, and one copy of the image.
    """

    def __init__(self, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size

    def call(self, image: KerasTensor) -> KerasTensor:
        image = ops.squeeze(image, -1)
        turned = ops.transpose(_resize_rows(image, self.size), (0, 2, 1))
        resized = ops.transpose(_resize_rows(turned, self.size), (0, 2, 1))
        return ops.expand_dims(resized, -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.size, self.size, 1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size}


def _resize_rows(image: KerasTensor, size: int) -> KerasTensor:
    """float32 (batch, rows, columns) -> (batch, size, columns)."""
    batch, rows, columns = ops.shape(image)
    block = math.gcd(size, BLOCK)
    # How far a weight reaches, in input rows times `size`: whole numbers below 2^24, for float32
    # positions would blur the weights of a large image.
    reach = ops.maximum(rows, size)
    needed = ops.minimum((block * rows + 2 * reach) // size + 2, rows)
    first = (ops.arange(size // block, dtype="int32") * block * rows - reach) // size
    first = ops.clip(first, 0, rows - needed)
    picked = ops.expand_dims(first, 1) + ops.expand_dims(ops.arange(needed, dtype="int32"), 0)
    # Twice the distance of pixel centres, times `size`: (blocks, rows of a block, needed).
    outputs = ops.reshape(ops.arange(size, dtype="int32"), (size // block, block, 1))
    distance = (2 * ops.expand_dims(picked, 1) + 1) * size - (2 * outputs + 1) * rows
    share = ops.cast(ops.abs(distance), "float32") / ops.cast(2 * reach, "float32")
    weights = ops.maximum(1.0 - share, 0.0)
    weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    blocks = ops.take(image, ops.reshape(picked, (-1,)), axis=1)
    blocks = ops.reshape(blocks, (batch, size // block, needed, columns))
    return ops.reshape(ops.matmul(weights, blocks), (batch, size, columns))
