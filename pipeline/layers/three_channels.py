"""Three channels out of one, for a network that was made for colour."""

import keras
import numpy as np
from keras import KerasTensor, ops

GAIN = 1.5
# Sobel's kernels for rows and columns, scaled so that a full step gives 1.
SOBEL = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32) / 4
KERNELS = np.stack([SOBEL, SOBEL.T], axis=-1)[:, :, None, :]


Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="pulmoscope")
class ThreeChannels(keras.layers.Layer):
    """The image, a brightened copy and its edges, as the three channels that Xception takes.

    Input: float32 (batch, rows, columns, 1) in 0..1. Output: float32 (batch, rows, columns, 3) in
    -1..1, the range of `keras.applications.xception.preprocess_input`: the image, the image times
    1.5 clipped at 1 (what is outside the lungs stays black), and the magnitude of Sobel's gradient
    clipped at 1. No weights; ``training`` has no effect.
    """

    def call(self, image: KerasTensor) -> KerasTensor:
        slopes = ops.conv(image, KERNELS, padding="same", data_format="channels_last")
        # Without the axis of 1, where ONNX Runtime takes 30 times as long.
        edges = ops.sqrt(ops.sum(ops.square(slopes), axis=-1) + 1e-12)
        image = ops.squeeze(image, -1)
        brightened = ops.minimum(image * GAIN, 1.0)
        channels = ops.stack([image, brightened, ops.minimum(edges, 1.0)], axis=-1)
        return channels * 2.0 - 1.0

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], 3)
