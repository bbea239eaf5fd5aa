"""What a training run is made of. A configuration is Python: see ``configs/``."""

import dataclasses
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

ENGINES = ("auto", "torch", "keras")


@dataclass(frozen=True)
class Stage:
    """Some epochs at one film size.

    With ``final_learning_rate`` the rate falls along half a cosine; without, it halves after three
    epochs whose validation loss is no better, and the stage stops after ``patience`` such epochs.
    ``steps`` cuts every epoch to that many batches; each epoch draws a new order. ``resample``:
    whether films are rotated, zoomed and moved, which blurs them. The last epochs do without (the
    U-Net's: three films of four), so that a model ends on films as sharp as those it will be shown
    (Touvron et al. 2019 on the same gap, https://arxiv.org/abs/1906.06423). ``shift``: whether a
    classifier's films are moved by whole pixels and lose patches. ``mixup``: a classifier's films
    and targets are blended in pairs, by shares from Beta(mixup, mixup); 0 blends none (Zhang et
    al. 2018, https://arxiv.org/abs/1710.09412).
    """

    size: int
    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    final_learning_rate: float | None = None
    patience: int = 8
    steps: int | None = None
    resample: bool = True
    shift: bool = False
    mixup: float = 0.0


@dataclass(frozen=True)
class TrainingConfig:
    """One model's training: the stages, the seed and the choices that the model's task reads.

    ``groups``: target class to merged labels, see `BalancedBatches`; empty for the U-Net.
    ``equalise``: whether a HistNorm stands before the U-Net. ``label_smoothing``: share of a
    target's certainty given to all classes alike. ``classes``: labels that the layer
    ``class_logits`` is taught as well. ``teachers``: shipped classifiers whose mean scores make up
    ``teacher_share`` of the target (Hinton et al. 2015). ``warm_start``: begin with the shipped
    weights. ``averaging``: see `pipeline.training.averaging`. ``init``: what the builder is given,
    e.g. "imagenet".
    """

    model: str
    stages: tuple[Stage, ...]
    seed: int = 20
    equalise: bool = True
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    label_smoothing: float = 0.0
    classes: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    teacher_share: float = 0.5
    averaging: float = 0.0
    init: str | None = None
    warm_start: bool = False


def load_config(path: Path | str) -> TrainingConfig:
    """Run a configuration file and return its ``CONFIG``. An unknown key is an error."""
    spec = importlib.util.spec_from_file_location("pulmoscope_config", path)
    if spec is None:
        raise ValueError(f"{path} is no configuration: it must be a .py file with a CONFIG.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not isinstance(getattr(module, "CONFIG", None), TrainingConfig):
        raise ValueError(f"{path} defines no CONFIG that is a TrainingConfig.")
    return module.CONFIG


def as_record(config: TrainingConfig) -> dict:
    """The configuration as plain values, for the registry."""
    return dataclasses.asdict(config)
