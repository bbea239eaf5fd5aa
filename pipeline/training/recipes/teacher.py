"""One of four Xceptions that teach the shipped ones, each without a quarter of the patients.

    python -m pipeline train xception --config pipeline/training/recipes/teacher.py --fold K \\
        --data DIR --init imagenet --run runs/teacher-K          (K = 0, 1, 2, 3)

What each says of the quarter that it never saw is a second opinion on every training image.
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="xception",
    stages=((160, 2), (224, 6)),
    steps=200,
    learning_rate=2e-3,
    trunk_rate=5e-4,
    shares={
        "COVID": 18,
        "siim typical": 13,
        "Normal": 8,
        "Lung_Opacity": 7,
        "Viral Pneumonia": 3,
        "siim negative": 9,
        "siim atypical": 3,
        "shenzhen tuberculosis": 2,
        "shenzhen negative": 1,
    },
    classes=True,
    smoothing=0.05,
    averaging=0.995,
    init="imagenet",
    folds=4,
)
