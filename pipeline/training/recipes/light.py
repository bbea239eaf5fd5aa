"""The light CNN, taught by Xception.

    python -m pipeline train light --data DIR

It goes on from the first release's weights, which had learnt from the database alone. Xception's
weights teach it, on the labelled images and on those that no radiologist called, so Xception is
trained and released first. Half an hour on two shared cores with bfloat16; expect on validation
images AUC 0.937 on the database (n 1,560) and 0.877 on SIIM-COVID19 (n 483).
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="light",
    stages=((128, 3), (256, 3)),
    steps=240,
    learning_rate=2e-3,
    shares={
        "COVID": 8,
        "siim typical": 8,
        "siim indeterminate": 2,
        "covid_qu_ex": 1,
        "Normal": 3,
        "Lung_Opacity": 3,
        "Viral Pneumonia": 2,
        "siim negative": 5,
        "siim atypical": 1,
        "shenzhen tuberculosis": 2,
        "shenzhen negative": 1,
    },
    smoothing=0.02,
    averaging=0.995,
    parent="d1660a4d4c3fad9414834602b3f2390fdb430dcaf9d2008a472296d0635bd4b0",
    teachers=("xception",),
    teacher_share=0.6,
)
