"""The lung U-Net, on every image with a lung mask.

    python -m pipeline train unet --data DIR

Half size first, then full size.
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="unet",
    stages=((128, 8), (256, 12)),
    steps=225,
    batch=16,
    learning_rate=2e-3,
    averaging=0.995,
)
