"""The light CNN, taught by Xception.

    python -m pipeline train light --data DIR

Xception's weights teach it on the labelled images and on those that no radiologist called, so
Xception is trained first.
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="light",
    stages=((128, 4), (256, 6)),
    steps=240,
    learning_rate=2e-3,
    shares={
        "COVID": 8,
        "siim typical": 8,
        "siim indeterminate": 2,
        "covid_qu_ex": 1,
        "Normal": 2,
        "Lung_Opacity": 2,
        "Viral Pneumonia": 2,
        "siim negative": 6,
        "siim atypical": 2,
        "shenzhen tuberculosis": 2,
        "shenzhen negative": 1,
    },
    smoothing=0.02,
    averaging=0.995,
    teachers=("xception",),
    teacher_share=0.6,
)
