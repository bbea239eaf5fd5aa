"""The truncated Xception: COVID against everything else, and the four classes beside it.

    python -m pipeline train xception --data DIR

From scratch, on films masked by the shipped U-Net: half size first, then full size. Scores: see
weights/README.md. ``init="imagenet"`` starts from the trunk that Keras offers for download.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="xception",
    stages=(
        Stage(
            112, epochs=16, batch_size=24, learning_rate=1.5e-3, final_learning_rate=2e-4, steps=225
        ),
        Stage(224, epochs=2, batch_size=24, learning_rate=5e-4, final_learning_rate=2e-4),
        Stage(224, 3, 24, learning_rate=2e-4, final_learning_rate=5e-6, resample=False),
    ),
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    classes=("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"),
    label_smoothing=0.02,
)
