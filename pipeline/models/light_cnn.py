"""The light classifier: separable convolutions, 79,410 parameters."""

from functools import partial

import keras
from keras import layers

FILTERS = (16, 32, 64, 128)


def build_light_cnn(filters: tuple[int, ...] = FILTERS, name: str = "light") -> keras.Model:
    """Build the light classifier, untrained.

    Takes float32 (batch, rows, columns, 1) in 0..1: an image whose outside of the lungs is 0,
    equalised. Returns float32 (batch, 2): the probabilities of COVID and of everything else.
    An image of 256 x 256 passes through feature maps of 256, 253, 127, 124, 62, 59, 30 and 27.
    """
    image = keras.Input((None, None, 1), name=f"{name}_input")
    x = layers.RandomFlip("horizontal", name="augment_flip")(image)
    x = layers.RandomRotation(0.04, fill_mode="constant", name="augment_rotation")(x)
    separable = partial(layers.SeparableConv2D, kernel_size=4, depth_multiplier=2, use_bias=False)
    for stage, width in enumerate(filters, start=1):
        block = f"stage{stage}"
        x = separable(width, padding="same", name=f"{block}_sepconv1")(x)
        x = layers.ReLU(name=f"{block}_relu1")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{block}_norm")(x)
        x = separable(width, padding="valid", name=f"{block}_sepconv2")(x)
        x = layers.ReLU(name=f"{block}_relu2")(x)
        if stage < len(filters):
            x = layers.MaxPooling2D(padding="same", name=f"{block}_pool")(x)
    x = layers.GlobalMaxPooling2D(name="global_pool")(x)
    x = layers.Dense(16, activation="relu", name="dense")(x)
    x = layers.Dense(2, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(image, x, name=name)
