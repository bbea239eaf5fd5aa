"""The large classifier: the first 46 layers of Xception and a head whose maps localise."""

import keras
import numpy as np
from keras import layers

from pipeline.layers.three_channels import ThreeChannels
from pipeline.models.spec import CLASSES

TRUNK_LAYERS = 46  # of keras.applications.Xception, block5's sum being the last: 14 x 14 x 728
HEAD_FILTERS = 128


def build_xception(name: str = "xception") -> keras.Model:
    """Build the truncated Xception (Chollet 2017, https://arxiv.org/abs/1610.02357).

    Takes float32 (batch, rows, columns, 1) in 0..1: an image whose outside of the lungs is 0,
    equalised. Returns float32 (batch, 2): the probabilities of COVID and of everything else, drawn
    from the four logits of the layer ``class_logits``, one per class of `CLASSES`.
    """
    image = keras.Input((None, None, 1), name=f"{name}_input")
    x = layers.RandomFlip("horizontal", name="augment_flip")(image)
    x = ThreeChannels(name="three_channels")(x)
    whole = keras.applications.Xception(include_top=False, weights=None, input_tensor=x)
    last = whole.layers.index(whole.get_layer("block1_conv1")) - 1 + TRUNK_LAYERS - 1
    x = whole.layers[last].output
    for i in (1, 2):
        x = layers.Conv2D(HEAD_FILTERS, 3, padding="same", use_bias=False, name=f"head_conv{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"head_norm{i}")(x)
        x = layers.SpatialDropout2D(0.2, name=f"head_dropout{i}")(x)
        x = layers.ReLU(name=f"head_relu{i}")(x)
    x = layers.GlobalAveragePooling2D(name="global_pool")(x)
    x = layers.Dense(len(CLASSES), name="class_logits")(x)
    x = layers.Dense(2, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(image, x, name=name)


def load_imagenet_trunk(model: keras.Model, init: str) -> None:
    """Give the trunk ImageNet's weights: ``init`` is "imagenet" (Keras's download) or a file.

    The file holds weight K of layer LLL of ``keras.applications.Xception(include_top=False)`` under
    the key ``LLL_K``, an ``.npz`` of the first `TRUNK_LAYERS` layers. Raises ValueError for a file
    that does not fit.
    """
    start = [layer.name for layer in model.layers].index("block1_conv1") - 1
    trunk = model.layers[start : start + TRUNK_LAYERS]
    if init == "imagenet":
        source = keras.applications.Xception(include_top=False, weights="imagenet")
        weights = {i: layer.get_weights() for i, layer in enumerate(source.layers[:TRUNK_LAYERS])}
    else:
        stored = np.load(init)
        weights = {i: [] for i in range(TRUNK_LAYERS)}
        for key in sorted(stored.files):
            weights[int(key.split("_")[0])].append(stored[key])
    for i, layer in enumerate(trunk):
        shapes = [w.shape for w in weights[i]]
        if i and shapes != [tuple(w.shape) for w in layer.weights]:
            raise ValueError(
                f"{init} does not hold Xception's weights: layer {i} ({layer.name}) takes "
                f"{[tuple(w.shape) for w in layer.weights]}, received {shapes}."
            )
        if layer.weights:
            layer.set_weights(weights[i])
