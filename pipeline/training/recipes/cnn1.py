"""CNN-1 of the original report, three classes, on the database alone.

python -m pipeline train cnn1 --data DIR
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="cnn1",
    stages=((256, 8),),
    steps=120,
    learning_rate=1e-3,
    shares={"COVID": 8, "Normal": 8, "Lung_Opacity": 4, "Viral Pneumonia": 4},
    smoothing=0.02,
)
