"""The truncated Xception: COVID against everything else, and the four classes beside it.

    python -m pipeline train xception --data DIR

From scratch, on films masked by the shipped U-Net: half size first, then full size, and once more.
Scores: see weights/README.md. ``init="imagenet"`` starts from the trunk that Keras offers for
download.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="xception",
    stages=(
        Stage(112, 6, 24, 1.5e-3, 5e-4, steps=225, resample=False, shift=True),
        Stage(160, 4, 24, 1e-3, 3e-4, steps=225, resample=False, shift=True),
        Stage(224, 3, 24, 8e-4, 5e-6, steps=225, resample=False, shift=True),
        Stage(160, 8, 24, 1e-3, 3e-4, steps=225, resample=False, shift=True),
        Stage(224, 3, 24, 8e-4, 5e-6, steps=225, resample=False, shift=True),
    ),
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    classes=("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"),
    label_smoothing=0.02,
)
