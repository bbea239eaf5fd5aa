"""The light CNN's last six epochs: `light_long.py` cut to what two cores train in two hours.

    python -m pipeline train light --config pipeline/training/configs/light_last.py \\
        --run runs/light_last --data DIR

So were the shipped weights' last six epochs trained, but that the first three followed the rates of
a cosine over seven.
"""

from dataclasses import replace

from pipeline.training.config import Stage
from pipeline.training.configs.light_long import CONFIG as LONG

CONFIG = replace(
    LONG,
    stages=(Stage(256, 6, 48, 2e-3, 1e-5, steps=225, resample=False, shift=True),),
    seed=41,
)
