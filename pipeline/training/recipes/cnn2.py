"""CNN-2 of the original report, which sees the whole radiograph, on the database alone.

    python -m pipeline train cnn2 --data DIR

It serves the page on bias: what it reads beside the lungs is the point of it.
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="cnn2",
    stages=((256, 8),),
    steps=150,
    learning_rate=1e-3,
    shares={"COVID": 12, "Normal": 4, "Lung_Opacity": 4, "Viral Pneumonia": 4},
    smoothing=0.02,
)
