"""Disease or source? The light CNN trained without one source, tested on that source.

    python -m pipeline evaluate --what sources --data DIR --json FILE

Cheap on purpose: half size, few epochs, on the shipped U-Net's masks. Only the differences between
these runs mean anything; the shipped weights are not among them. The control has seen the source
and lacks as many images of each stratum, drawn by chance from the other sources, so that what is
lost for want of images is not taken for what is lost for want of the source. Runs lie in
``runs/sources``; one that is there already is taken up where it stopped.
"""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from pipeline import __version__
from pipeline.data.split import Row
from pipeline.evaluation.estimates import Estimate, Result, auc_with_interval
from pipeline.models import registry
from pipeline.training.fit import Trainer, predictor_of
from pipeline.training.recipe import Recipe
from pipeline.training.tasks import ClassificationTask

# Rates and shares of the shipped light CNN, at half size, without a teacher.
CHEAP = Recipe(
    model="light",
    stages=((128, 3),),
    steps=100,
    learning_rate=2e-3,
    shares={
        "COVID": 12,
        "siim typical": 12,
        "Normal": 4,
        "Lung_Opacity": 4,
        "Viral Pneumonia": 2,
        "siim negative": 10,
        "siim atypical": 2,
        "shenzhen tuberculosis": 1,
        "shenzhen negative": 1,
    },
    smoothing=0.02,
)
FEWEST = 50  # test images of a source, below which the interval of an AUC says nothing


def leave_one_source_out(
    data: Path,
    runs: Path = Path("runs/sources"),
    recipe: Recipe = CHEAP,
    sources: Sequence[str] | None = None,
) -> Result:
    """AUC on each source's test images, of a model that never saw the source and of its control.

    A source with both classes is judged by itself; of one with a single class, its images are
    ranked against the other class of the remaining test images. ``sources``: only these.
    """
    whole = ClassificationTask(recipe, data)
    test = [i for i, row in enumerate(whole.rows) if row.part == "test" and row.target]
    found = sorted({whole.rows[i].source for i in test})
    result: dict[str, Result] = {}
    for source in sources or found:
        own = [i for i in test if whole.rows[i].source == source]
        if len(own) < FEWEST:
            continue
        judged = own if _both_classes([whole.rows[i] for i in own]) else _against(whole, test, own)
        result[source] = {"test_images": len(own), "judged": len(judged)}
        for name, without in (("unseen", source), ("control", f"as many as {source}")):
            task = trained_without(without, data, runs, recipe)
            result[source][name] = _auc(task, whole, judged)
    return {
        "what": "sources",
        "model": "light",
        "unet_sha256": registry.entry("unet").sha256,
        "version": __version__,
        "part": "test",
        "settings": {
            "size": recipe.sizes[-1],
            "epochs": len(recipe.sizes),
            "images_per_epoch": recipe.steps * sum(recipe.shares.values()),
        },
        "sources": result,
    }


def trained_without(without: str, data: Path, runs: Path, recipe: Recipe) -> ClassificationTask:
    """A task whose light CNN was trained without a source, or without as many other images."""
    keras.utils.set_random_seed(recipe.seed)
    task = ClassificationTask(recipe, data)
    task.leave_out(without)
    folder = runs / without.replace(" ", "_")
    trainer = Trainer(recipe, task.trained, task.loss)
    trainer.fit(task.batches, task.score, folder, resume=True)
    task.model.load_weights(folder / "best.weights.h5")
    return task


def _both_classes(rows: list[Row]) -> bool:
    return len({row.target == "COVID" for row in rows}) == 2


def _against(whole: ClassificationTask, test: list[int], own: list[int]) -> list[int]:
    """The source's images and those of the other class of all other sources."""
    covid = whole.rows[own[0]].target == "COVID"
    others = [i for i in test if (whole.rows[i].target == "COVID") != covid]
    return own + others


def _auc(task: ClassificationTask, whole: ClassificationTask, judged: list[int]) -> Estimate:
    task.chosen["judged"] = judged
    task.seen.pop("judged", None)
    scores = task.predict(predictor_of(task.model), "judged", task.recipe.sizes[-1])
    truth = np.array([whole.rows[i].target == "COVID" for i in judged])
    return auc_with_interval(truth, scores)
