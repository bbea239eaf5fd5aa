"""What a training run is made of. A recipe is Python: ``recipes/`` has one a shipped model."""

import dataclasses
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """One model's training.

    ``stages``: pairs of image size and epochs, one after the other under one learning rate that
    rises to ``learning_rate`` and falls to nothing (Smith and Topin 2019). ``steps``: batches an
    epoch. ``shares``: images of each stratum in a batch (`pipeline.data.split.Row.stratum`); for
    the U-Net ``batch`` says how many. ``trunk_rate``: the rate of the layers that came with
    ``init``. ``init``: "imagenet", or a file with ImageNet's weights for Xception's trunk.
    ``parent``: sha256 of the shipped weights that the run starts from. ``teachers``: shipped
    classifiers by name, or files of Xception's weights, whose mean score makes up ``teacher_share``
    of the target (Hinton et al. 2015) and the whole of it where an image has no label. A file with
    ``{fold}`` in its name stands for one a fold: the training images are dealt into ``folds``, the
    images of one patient together, a run with ``fold`` leaves that one out, and what an image is
    taught comes from the run that never saw it.
    ``averaging``: decay of the running average of the weights, which is what is scored and shipped
    (Polyak and Juditsky 1992).
    """

    model: str
    stages: tuple[tuple[int, int], ...]
    steps: int
    learning_rate: float
    trunk_rate: float | None = None
    shares: dict[str, int] = field(default_factory=dict)
    batch: int = 0
    weight_decay: float = 0.01
    smoothing: float = 0.0
    averaging: float = 0.99
    classes: bool = False
    init: str | None = None
    parent: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_share: float = 0.5
    folds: int = 0
    fold: int | None = None
    seed: int = 20

    @property
    def sizes(self) -> list[int]:
        """The image size of every epoch."""
        return [size for size, epochs in self.stages for _ in range(epochs)]


def load_recipe(path: Path | str) -> Recipe:
    """Run a recipe's file and return its ``RECIPE``. An unknown key is an error."""
    spec = importlib.util.spec_from_file_location("pulmoscope_recipe", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no recipe: it must be a .py file with a RECIPE.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not isinstance(getattr(module, "RECIPE", None), Recipe):
        raise ValueError(f"{path} defines no RECIPE that is a Recipe.")
    return module.RECIPE


def as_record(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, for the model's record."""
    return dataclasses.asdict(recipe)
