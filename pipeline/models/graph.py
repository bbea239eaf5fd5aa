"""The one end-to-end graph: from a raw image of any size to mask, score and feature map."""

import keras
from keras import layers

from pipeline.layers.hist_norm import HistNorm
from pipeline.layers.portable_resize import PortableResize
from pipeline.layers.round_to_mask import RoundToMask

OUTPUTS = (
    "mask_probability",
    "mask",
    "masked_film",
    "equalised_film",
    "features",
    "probabilities",
    "context",
)


def build_graph(
    unet: keras.Model,
    classifier: keras.Model,
    last_features: str,
    size: int,
    equalise_first: bool = True,
    masked: bool = True,
) -> keras.Model:
    """Join the U-Net and a classifier into one model that starts from the raw image.

    resize -> Rescaling -> [HistNorm ->] U-Net -> round -> Multiply -> HistNorm -> classifier

    Takes float32 (batch, rows, columns, 1) in 0..255, any rows and columns. Returns the dict of
    `OUTPUTS`, all float32: ``mask_probability``, ``mask`` (1 inside a lung field), ``masked_film``
    and ``equalised_film`` (batch, size, size, 1) in 0..1; ``features``, the output of the layer
    ``last_features``; ``probabilities`` (batch, labels); ``context`` (batch, 448), what the whole
    image looks like to the U-Net, see `_with_context`; and ``class_probabilities`` (batch, 4)
    where the classifier has a layer ``class_logits``.

    ``equalise_first`` puts a HistNorm before the U-Net, which makes the mask independent of the
    exposure. A classifier that is not ``masked`` is shown the whole image in 0..255.
    """
    trunk = keras.Model(
        classifier.input,
        classifier.get_layer(last_features).output,
        name=f"{classifier.name}_trunk",
    )
    raw = keras.Input((None, None, 1), name="film")
    # Antialiased: an image of 3,000 rows must look as the training images did, shrunk by area.
    resized = PortableResize(size, name="resize")(raw)
    image = layers.Rescaling(1 / 255, name="rescale")(resized)
    seen = HistNorm(name="equalise_film")(image) if equalise_first else image
    probability, context = _with_context(unet)(seen, training=False)
    mask = RoundToMask(name="mask")(probability)
    lungs = layers.Multiply(name="masked_film")([image, mask])
    equalised = HistNorm(name="equalise_lungs")(lungs)
    # Keras's augmenting layers take training=True where nothing is said: this graph never trains.
    features = trunk(equalised if masked else resized, training=False)
    scores = head_of(classifier, last_features)(features, training=False)
    outputs = dict(zip(OUTPUTS, (probability, mask, lungs, equalised, features), strict=False))
    outputs |= scores | {"context": context}
    return keras.Model(raw, outputs, name=f"pulmoscope_{classifier.name}")


def _with_context(unet: keras.Model) -> keras.Model:
    """The U-Net with a second output: mean and maximum of every channel of its way down, after
    each block. Shares the U-Net's weights."""
    names = [layer.name for layer in unet.layers]
    down = [
        unet.get_layer(n).output for n in names if n.startswith("down") and n.endswith("_norm2")
    ]
    pooled = [
        pool(name=f"context_{kind}{level}")(block)
        for kind, pool in (
            ("mean", layers.GlobalAveragePooling2D),
            ("max", layers.GlobalMaxPooling2D),
        )
        for level, block in enumerate(down, start=1)
    ]
    context = layers.Concatenate(name="context", dtype="float32")(pooled)
    return keras.Model(unet.input, [unet.output, context], name=unet.name)


def head_of(classifier: keras.Model, last_features: str) -> keras.Model:
    """The part of a classifier behind its last feature map; shares the classifier's weights.

    Returns the dict of ``probabilities`` and, where there is one, ``class_probabilities``.
    """
    outputs = {"probabilities": classifier.output}
    if any(layer.name == "class_logits" for layer in classifier.layers):
        logits = classifier.get_layer("class_logits").output
        outputs["class_probabilities"] = layers.Softmax(dtype="float32")(logits)
    features = classifier.get_layer(last_features).output
    return keras.Model(features, outputs, name=f"{classifier.name}_head")
