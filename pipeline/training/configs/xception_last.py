"""Xception's last four epochs: `xception_long.py` cut to what two cores train in two hours.

    python -m pipeline train xception --config pipeline/training/configs/xception_last.py \\
        --run runs/xception_last --data DIR

So were the shipped weights' last four epochs trained.
"""

from dataclasses import replace

from pipeline.training.config import Stage
from pipeline.training.configs.xception_long import CONFIG as LONG

CONFIG = replace(
    LONG,
    stages=(Stage(224, 4, 24, 8e-4, 5e-6, steps=225, resample=False, shift=True),),
    teacher_share=0.5,
    averaging=0.995,
    seed=43,
)
