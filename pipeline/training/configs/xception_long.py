"""Xception, gone on with from the shipped weights, both shipped models as teachers.

    python -m pipeline train xception --config pipeline/training/configs/xception_long.py \\
        --run runs/xception_long --data DIR

Five minutes on an H200, seventeen hours on two cores. Tried, not shipped: see the README one folder
up.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="xception",
    stages=(
        Stage(224, 13, 48, 1e-3, 3e-4, steps=225, shift=True),
        Stage(224, 7, 48, 5e-4, 5e-6, steps=225, resample=False, shift=True),
    ),
    seed=32,
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    classes=("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"),
    label_smoothing=0.02,
    teachers=("light", "xception"),
    teacher_share=0.4,
    averaging=0.998,
    warm_start=True,
)
