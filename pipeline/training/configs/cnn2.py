"""The report's CNN-2: COVID or not, on whole films that nothing masks.

    python -m pipeline train cnn2 --data DIR

Kept to show what a classifier does that may look anywhere; its dense head fixes the size at 256.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="cnn2",
    stages=(Stage(256, 6, batch_size=24, learning_rate=1e-3, final_learning_rate=1e-5, steps=150),),
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
)
