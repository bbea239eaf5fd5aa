"""The truncated Xception, from ImageNet: COVID against everything else, and the four classes.

    python -m pipeline train xception --data DIR --init imagenet

On the database and SIIM-COVID19 together; Shenzhen's tuberculosis belongs to the rest. An hour on
two shared cores with bfloat16; expect on validation images AUC 0.950 on the database (n 1,560) and
0.906 on SIIM-COVID19 (n 483), after the seventh epoch.
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="xception",
    stages=((160, 3), (224, 5)),
    steps=240,
    learning_rate=1.5e-3,
    trunk_rate=4e-4,
    # 16 of 32 are COVID. SIIM gives 8 of either half: there, the hospital does not tell.
    shares={
        "COVID": 8,
        "siim typical": 8,
        "Normal": 2,
        "Lung_Opacity": 2,
        "Viral Pneumonia": 2,
        "siim negative": 5,
        "siim atypical": 2,
        "shenzhen tuberculosis": 2,
        "shenzhen negative": 1,
    },
    classes=True,
    smoothing=0.05,
    averaging=0.995,
    init="imagenet",
)
