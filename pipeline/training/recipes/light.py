"""The light CNN, taught by four Xceptions.

    python -m pipeline train light --data DIR

It goes on from the release before, whose recipe is this file at that commit. On the labelled
images and on those that no radiologist called; the teachers (`teacher.py`) must be trained first.
Some five minutes on an H200, four hours on two cores; expect on validation images AUC 0.963 on the
database (n 1,560) and 0.910 on SIIM-COVID19 (n 483).
"""

from pipeline.training.recipe import Recipe

RECIPE = Recipe(
    model="light",
    stages=((256, 14),),
    steps=320,
    learning_rate=3e-3,
    shares={
        "COVID": 18,
        "siim typical": 14,
        "siim indeterminate": 6,
        "covid_qu_ex": 2,
        "Normal": 8,
        "Lung_Opacity": 7,
        "Viral Pneumonia": 3,
        "siim negative": 9,
        "siim atypical": 3,
        "shenzhen tuberculosis": 2,
        "shenzhen negative": 1,
    },
    smoothing=0.02,
    averaging=0.998,
    parent="f573504e2bdcd98b9f45126c8e17859f5f252b0a994261085c6cb65de0551de8",
    teachers=("runs/teacher-{fold}/best.weights.h5",),
    teacher_share=0.7,
    folds=4,
)
