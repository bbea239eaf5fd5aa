"""The lung U-Net.

    python -m pipeline train unet --data DIR

Half size first, then full size. On two cores: 12 + 20 minutes for 3,608 training pairs. Scores:
see weights/README.md.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="unet",
    stages=(
        Stage(128, epochs=7, batch_size=16, learning_rate=2e-3, final_learning_rate=2e-4),
        Stage(256, epochs=3, batch_size=8, learning_rate=8e-4, final_learning_rate=1e-5),
        Stage(256, epochs=3, batch_size=8, learning_rate=1.5e-3, final_learning_rate=7e-4),
        Stage(256, 8, 8, learning_rate=8e-4, final_learning_rate=5e-6, resample=False),
    ),
)
