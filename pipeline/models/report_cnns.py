"""The report's two earlier classifiers, kept so that its story can be reproduced.

CNN-1 tells COVID, normal and other pneumonia apart on masked images; CNN-2 scores COVID on images
that nothing masks, and is the one that reads lettering.
"""

import keras
from keras import layers


def build_cnn1(name: str = "cnn1") -> keras.Model:
    """Build CNN-1, untrained: 444,359 parameters.

    Takes float32 (batch, 256, 256, 1) in 0..1, masked and equalised; returns float32 (batch, 3):
    the probabilities of COVID, normal, and pneumonia or opacity.
    """
    image = keras.Input((256, 256, 1), name=f"{name}_input")
    x = image
    for stage, width in enumerate((16, 32, 64), start=1):
        block = f"stage{stage}"
        x = layers.BatchNormalization(momentum=0.9, name=f"{block}_norm")(x)
        x = layers.Conv2D(
            width, 8, padding="same", use_bias=False, activation="relu", name=f"{block}_conv"
        )(x)
        x = layers.MaxPooling2D(4, name=f"{block}_pool")(x)
    x = layers.BatchNormalization(momentum=0.9, name="stage4_norm")(x)
    x = _dense_head(x)
    x = layers.Dense(3, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(image, x, name=name)


def build_cnn2(name: str = "cnn2") -> keras.Model:
    """Build CNN-2, untrained: 3,065,217 parameters.

    Takes float32 (batch, 256, 256, 1) in 0..255, the whole image; returns float32 (batch, 1): the
    probability of COVID.
    """
    image = keras.Input((256, 256, 1), name=f"{name}_input")
    x = layers.RandomFlip("horizontal", name="augment_flip")(image)
    x = layers.RandomRotation(0.04, fill_mode="constant", name="augment_rotation")(x)
    x = layers.RandomZoom(0.1, fill_mode="constant", name="augment_zoom")(x)
    x = layers.Rescaling(1 / 255, name="rescale")(x)
    for stage, width in enumerate((16, 32, 64, 128, 256), start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, name=f"stage{stage - 1}_pool")(x)
        x = layers.Conv2D(width, 8, use_bias=False, activation="relu", name=f"stage{stage}_conv")(x)
    x = _dense_head(x)
    x = layers.Dense(1, activation="sigmoid", dtype="float32", name="probabilities")(x)
    return keras.Model(image, x, name=name)


def _dense_head(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(256, activation="relu", name="dense1")(x)
    return layers.Dense(64, activation="relu", name="dense2")(x)
