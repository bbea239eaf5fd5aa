"""``python -m pipeline train``: from the database's folder to weights."""

from dataclasses import replace
from pathlib import Path

import keras

from pipeline.models import registry
from pipeline.training.fit import Trainer
from pipeline.training.recipe import RECIPES, load_recipe
from pipeline.training.tasks import task_of


def train(
    name: str,
    data: Path | list[Path],
    resume: bool = False,
    recipe_file: Path | None = None,
    folder: Path | None = None,
    init: str | None = None,
    fold: int | None = None,
) -> Trainer:
    """Train a model; the run lies in ``folder`` (default ``runs/<name>``).

    ``data``: the database's folder, or packs of its images (`pipeline.training.pack`). ``fold``:
    the one of the recipe's folds that the run leaves out.
    ``init``: "imagenet" for the trunk that Keras offers for download, or a file of its weights.
    Without ``resume`` a run that is already there is refused (FileExistsError), never overwritten.
    Raises ValueError where the shipped weights are not those that the recipe goes on from.
    """
    recipe = load_recipe(recipe_file or RECIPES / f"{name}.py")
    if init:
        recipe = replace(recipe, init=init)
    if fold is not None:
        if fold not in range(recipe.folds):
            raise ValueError(f"the recipe has {recipe.folds} folds, so there is no fold {fold}.")
        recipe = replace(recipe, fold=fold)
    folder = folder or Path("runs") / name
    if (folder / "checkpoint.pt").exists() and not resume:
        raise FileExistsError(f"{folder} holds a run: add --resume to go on with it, or move it.")
    keras.utils.set_random_seed(recipe.seed)  # before the model draws its first weights
    task = task_of(recipe, data)
    if recipe.parent:
        entry = registry.entry(recipe.model)
        if entry.sha256 != recipe.parent:
            raise ValueError(
                f"the recipe goes on from weights {recipe.parent[:12]}, but {entry.sha256[:12]} "
                "are shipped: check out the commit that has them."
            )
        task.model.load_weights(entry.checked_file())
    trainer = Trainer(recipe, task.trained, task.loss, task.head, task.model)
    trainer.fit(task.batches, task.score, folder, resume)
    return trainer
