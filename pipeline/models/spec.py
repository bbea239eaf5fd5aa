"""Every classifier: how it is built and what its last feature map looks at.

Plain data: Keras is imported when a model is built, and no sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# Of the COVID-19 Radiography Database; Xception separates them in this order.
CLASSES = ("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia")


@dataclass(frozen=True)
class Architecture:
    """One classifier, built by the function ``builder`` of the module ``module``.

    ``last_features`` names the layer that heatmaps are computed from; its cell (i, j) looks at
    pixel (offset + stride i, offset + stride j) of the input of ``input_size`` squared pixels.
    ``pooled``: whether the head pools it globally, so that it takes a map of any size.
    ``masked``: whether it is shown the equalised lungs in 0..1, or the whole image in 0..255.
    ``for_reading``: whether a reader may choose it, or whether it only serves comparisons.
    """

    module: str
    builder: str
    parameters: int
    input_size: int
    last_features: str
    stride: float
    offset: float
    pooled: bool = True
    masked: bool = True
    for_reading: bool = True

    def build(self) -> keras.Model:
        """The model, untrained."""
        model: keras.Model = getattr(import_module(self.module), self.builder)()
        return model


ARCHITECTURES = {
    "light": Architecture(
        "pipeline.models.light_cnn", "build_light_cnn", 79_410, 256, "stage4_relu2", 8, 33.5
    ),
    "xception": Architecture(
        "pipeline.models.xception", "build_xception", 3_719_630, 224, "head_relu2", 16, 11
    ),
    "cnn1": Architecture(
        "pipeline.models.report_cnns",
        "build_cnn1",
        444_359,
        256,
        "stage3_conv",
        16,
        18,
        pooled=False,
        for_reading=False,
    ),
    "cnn2": Architecture(
        "pipeline.models.report_cnns",
        "build_cnn2",
        3_065_217,
        256,
        "stage4_conv",
        8,
        56,
        pooled=False,
        masked=False,
        for_reading=False,
    ),
}
