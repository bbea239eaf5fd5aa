"""The truncated Xception, from ImageNet: COVID against everything else, and the four classes.

    python -m pipeline train xception --data DIR --init imagenet

On the database and SIIM-COVID19 together; Shenzhen's tuberculosis belongs to the rest. Half of
what it is taught is the label, half the opinion of the four teachers (`teacher.py`), which must be
trained first. Some four minutes on an H200, five hours on two cores; expect on validation images
AUC 0.971 on the database (n 1,560) and 0.912 on SIIM-COVID19 (n 483), after the seventh epoch.
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="xception",
    stages=((160, 2), (224, 12)),
    steps=300,
    learning_rate=2e-3,
    trunk_rate=5e-4,
    shares={
        "COVID": 18,
        "siim typical": 13,
        "siim indeterminate": 4,
        "covid_qu_ex": 1,
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
    teachers=("runs/teacher-{fold}/best.weights.h5",),
    teacher_share=0.5,
    folds=4,
)
