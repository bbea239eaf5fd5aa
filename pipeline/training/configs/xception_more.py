"""Xception, gone on with from the shipped weights, both shipped models as teachers.

    python -m pipeline train xception --config pipeline/training/configs/xception_more.py \\
        --run runs/xception_more --data DIR

An hour and a quarter on two cores. The mean of the two models' scores is better than either.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="xception",
    stages=(
        Stage(160, 5, 24, 1e-3, 1e-4, steps=225, resample=False, shift=True),
        Stage(224, 1, 24, 3e-4, 5e-6, steps=225, resample=False, shift=True),
    ),
    seed=21,
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    classes=("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"),
    label_smoothing=0.02,
    teachers=("light", "xception"),
    averaging=0.995,
    warm_start=True,
)
