"""Turn a lung probability into a mask inside the graph."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="pulmoscope")
class RoundToMask(keras.layers.Layer):
    """Round a probability in 0..1 to 0 or 1, float32: 1 means more likely lung than not."""

    def call(self, probability):
        return ops.round(probability)

    def compute_output_shape(self, input_shape):
        return input_shape
