"""The light CNN, gone on with from the shipped weights, both shipped models as teachers.

    python -m pipeline train light --config pipeline/training/configs/light_long.py \\
        --run runs/light_long --data DIR

Four minutes on an H200, seven hours on two cores. Tried, not shipped: see the README one folder up.
"""

from dataclasses import replace

from pipeline.training.config import Stage
from pipeline.training.configs.light_more import CONFIG as MORE

CONFIG = replace(
    MORE,
    stages=(Stage(256, 26, 48, 3e-3, 1e-5, steps=225, resample=False, shift=True),),
    seed=33,
    teacher_share=0.6,
    averaging=0.998,
)
