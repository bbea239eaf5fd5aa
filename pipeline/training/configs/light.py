"""The light CNN, COVID against everything else, on films masked by the shipped U-Net.

    python -m pipeline train light --data DIR

Half size first, then full size, every batch half COVID. Scores: see weights/README.md.
"""

from pipeline.training.config import Stage, TrainingConfig

CONFIG = TrainingConfig(
    model="light",
    stages=(
        Stage(
            128, epochs=12, batch_size=48, learning_rate=2e-3, final_learning_rate=3e-4, steps=150
        ),
        Stage(
            256, epochs=1, batch_size=24, learning_rate=8e-4, final_learning_rate=4e-4, steps=225
        ),
        Stage(256, 2, 24, learning_rate=4e-4, final_learning_rate=1e-5, steps=225, resample=False),
        Stage(
            256, 6, 24, learning_rate=1.5e-3, final_learning_rate=1e-5, steps=225, resample=False
        ),
        Stage(256, 7, 24, 2e-3, 1e-5, steps=225, resample=False, shift=True),
    ),
    groups={"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")},
    label_smoothing=0.02,
    teachers=("xception",),
)
