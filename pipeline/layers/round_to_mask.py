"""Turn a lung probability into a mask inside the graph."""

import keras
from keras import KerasTensor, ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="pulmoscope")
class RoundToMask(keras.layers.Layer):
    """Round a probability in 0..1 to 0 or 1, float32: 1 means more likely lung than not."""

    def call(self, probability: KerasTensor) -> KerasTensor:
        return ops.round(probability)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
