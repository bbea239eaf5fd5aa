"""Xception, gone on with from the shipped weights, both shipped models as teachers.

    python -m pipeline train xception --config pipeline/training/configs/xception_more.py \\
        --run runs/xception_more --data DIR

An hour on two cores; not run yet. At its full size from the start: one epoch after five at 160 px
was too short to come back (see the README one folder up).
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="xception",
    stages=(Stage(224, 3, 24, 5e-4, 5e-6, steps=225, resample=False, shift=True),),
    seed=21,
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    classes=("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"),
    label_smoothing=0.02,
    teachers=("light", "xception"),
    averaging=0.99,
    warm_start=True,
)
