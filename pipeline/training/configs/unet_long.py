"""The lung U-Net, gone on with from the shipped weights: 60 more epochs.

    python -m pipeline train unet --config pipeline/training/configs/unet_long.py \\
        --run runs/unet_long --data DIR

Seven minutes on an H200, six hours on two cores. Tried, not shipped: see the README one folder up.
The last stage overfits from its seventh epoch on; the best weights are kept in any case.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="unet",
    stages=(
        Stage(256, 40, 16, learning_rate=1.5e-3, final_learning_rate=5e-4),
        Stage(256, 20, 16, learning_rate=8e-4, final_learning_rate=5e-6, resample=False),
    ),
    seed=30,
    averaging=0.998,
    warm_start=True,
)
