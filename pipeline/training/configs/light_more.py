"""The light CNN, gone on with from the shipped weights, both shipped models as teachers.

    python -m pipeline train light --config pipeline/training/configs/light_more.py \\
        --run runs/light_more --data DIR

Forty minutes on two cores. So were the shipped weights' four epochs before the last six trained.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="light",
    stages=(Stage(256, 4, 24, 1e-3, 1e-5, steps=225, resample=False, shift=True),),
    seed=22,
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    label_smoothing=0.02,
    teachers=("light", "xception"),
    teacher_share=0.7,
    averaging=0.99,
    warm_start=True,
)
