"""U-Net that finds the lung fields (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597).

Fully convolutional: one set of weights serves every size whose sides are multiples of 32.
"""

from functools import partial

import keras
from keras import layers

FILTERS = (16, 16, 32, 32, 128)


def build_unet(filters: tuple[int, ...] = FILTERS, name: str = "unet") -> keras.Model:
    """Build the lung-field U-Net, untrained.

    Takes float32 (batch, rows, columns, 1) in 0..1, sides multiples of ``2 ** len(filters)``;
    returns float32 (batch, rows, columns, 1): the probability that a pixel lies in a lung field,
    heart and mediastinum excluded.

    Unlike the original, the skip is added after the up block's convolutions instead of being
    concatenated before them, and there is no bottleneck: this is what gives 599,073 parameters.
    """
    image = keras.Input((None, None, 1), name=f"{name}_input")
    x, skips = image, []
    for level, width in enumerate(filters, start=1):
        x = _two_convolutions(x, width, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"down{level}_pool")(x)
    for level, (width, skip) in enumerate(
        zip(reversed(filters), reversed(skips), strict=True), start=1
    ):
        x = layers.UpSampling2D(name=f"up{level}_upsample")(x)
        x = _two_convolutions(x, width, f"up{level}")
        x = layers.Add(name=f"up{level}_skip")([x, skip])
    lung = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lung_probability")(x)
    return keras.Model(image, lung, name=name)


def _two_convolutions(x: keras.KerasTensor, width: int, block: str) -> keras.KerasTensor:
    conv = partial(layers.Conv2D, width, 3, padding="same", activation="relu")
    for i in (1, 2):
        x = conv(name=f"{block}_conv{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{block}_norm{i}")(x)
    return x
