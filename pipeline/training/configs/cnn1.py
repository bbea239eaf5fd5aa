"""The report's CNN-1: COVID, normal, and pneumonia or opacity, on masked films.

    python -m pipeline train cnn1 --data DIR

Kept for the report's story; its dense head fixes the size at 256. Ten minutes on two cores.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="cnn1",
    stages=(Stage(256, 4, batch_size=48, learning_rate=1e-3, final_learning_rate=1e-5, steps=75),),
    groups={
        "COVID": ("COVID",),
        "Normal": ("Normal",),
        "Pneumonia": ("Lung_Opacity", "Viral Pneumonia"),
    },
    label_smoothing=0.02,
)
