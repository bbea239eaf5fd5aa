"""Histogram equalisation inside the graph."""

from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

LEVELS = 256
# A table, because compilers turn a division by 255 into a product that rounds differently.
UNIT = np.arange(LEVELS, dtype=np.float32) / np.float32(LEVELS - 1)


Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="pulmoscope")
class HistNorm(keras.layers.Layer):
    """Equalise each image's histogram exactly as ``cv2.equalizeHist`` does on 8-bit levels.

    Input: float image (batch, rows, columns, 1) in 0..1. Output: float32 of the same shape and
    range. Images are independent of each other, rows and columns may be unknown, `training` has no
    effect and there are no weights.

    With levels ``v = round(255 x)``, histogram ``h``, first occupied level ``i`` and ``n`` counted
    pixels (OpenCV, ``modules/imgproc/src/histogram.cpp``):

        scale  = float32(255) / float32(n - h[i])
        lut[v] = rint(float32(h[i+1] + ... + h[v]) * scale),   lut[v] = 0 for v <= i

    and the output is ``lut[v] / 255``. An image with one level only is returned as it came.

    ``over``: which pixels are counted. ``"image"``: all of them; in an image whose outside was set
    to 0, that background dominates the histogram (the report's behaviour). ``"lungs"``: those where
    the second input is 1, called as ``HistNorm(over="lungs")(image, lungs)`` with ``lungs`` of the
    image's shape, 1 inside a lung field and 0 outside.

    ``keras.layers.Equalization`` is no substitute: it is the identity at inference and mixes the
    histograms of a batch.
    """

    def __init__(self, over: str = "image", **kwargs: Any):
        if over not in ("image", "lungs"):
            raise ValueError(f"over is 'image' or 'lungs', received {over!r}.")
        kwargs["dtype"] = "float32"  # half precision has no room for pixel counts
        super().__init__(**kwargs)
        self.over = over

    def call(self, image: KerasTensor, lungs: KerasTensor | None = None) -> KerasTensor:
        if (self.over == "lungs") != (lungs is not None):
            raise ValueError(
                f"over={self.over!r} takes an image {'and' if self.over == 'lungs' else 'without'} "
                f"lungs, received lungs={'given' if lungs is not None else None}."
            )
        shape = ops.shape(image)
        # Flat, since ONNX Runtime takes 30 times as long where the last axis is 1; by way of
        # uint8, which halves the memory that is moved.
        pixels = ops.clip(ops.reshape(image, (shape[0], -1)), 0.0, 1.0)
        levels = ops.cast(ops.cast(ops.round(pixels * 255.0), "uint8"), "int32")
        first_bin = LEVELS * ops.expand_dims(ops.arange(shape[0], dtype="int32"), 1)
        bins = ops.reshape(levels + first_bin, (-1,))
        counted = ops.ones_like(bins) if lungs is None else ops.reshape(ops.round(lungs), (-1,))
        histogram = ops.segment_sum(ops.cast(counted, "int32"), bins, LEVELS * shape[0])
        lut, one_level = _equalising_lut(ops.reshape(histogram, (-1, LEVELS)))
        unit_lut = ops.take(ops.convert_to_tensor(UNIT), ops.reshape(lut, (-1,)))
        equalised = ops.reshape(ops.take(unit_lut, bins), shape)
        return ops.where(ops.reshape(one_level, (-1, 1, 1, 1)), image, equalised)

    def compute_output_shape(self, image_shape: Shape, lungs_shape: Shape | None = None) -> Shape:
        return image_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"over": self.over}


def _equalising_lut(histogram: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """int32 (batch, 256) -> int32 (batch, 256) in 0..255, and which rows have one level only."""
    up_to = ops.cumsum(histogram, axis=-1)
    total = up_to[:, -1:]
    occupied = ops.cast(histogram > 0, "int32")
    first = ops.expand_dims(ops.argmax(occupied, axis=-1), -1)
    at_first = ops.take_along_axis(histogram, first, axis=-1)
    one_level = at_first == total
    # float32 first, then divide: 255 * (1 / t) rounds differently from 255 / t.
    rest = ops.cast(ops.maximum(total - at_first, 1), "float32")
    scale = ops.divide(ops.full_like(rest, 255.0), rest)
    above_first = ops.cast(ops.maximum(up_to - at_first, 0), "float32")
    return ops.cast(ops.round(above_first * scale), "int32"), one_level
