"""``python -m pipeline train``: from the database's folder to weights."""

import json
from dataclasses import replace
from pathlib import Path

import keras

from pipeline import registry
from pipeline.training.config import as_record, load_config
from pipeline.training.engines import make_engine
from pipeline.training.loop import Run
from pipeline.training.tasks import task_of

CONFIGS = Path(__file__).parent / "configs"


def train(
    name: str,
    data: Path,
    resume: bool = False,
    config_file: Path | None = None,
    folder: Path | None = None,
    engine: str = "auto",
    init: str | None = None,
) -> Run:
    """Train a model; the run lies in ``folder`` (default ``runs/<name>``).

    ``init`` is what the model's builder starts from, "imagenet" for Xception's trunk.
    Without ``resume`` a run that is already there is refused (FileExistsError), never overwritten.
    """
    config = load_config(config_file or CONFIGS / f"{name}.py")
    if init:
        config = replace(config, init=init)
    folder = folder or Path("runs") / name
    if (folder / "run.json").exists() and not resume:
        raise FileExistsError(f"{folder} holds a run: add --resume to go on with it, or move it.")
    keras.utils.set_random_seed(config.seed)  # before the model draws its first weights
    task = task_of(config, data)
    if config.warm_start:
        task.model.load_weights(registry.entry(config.model).checked_file())
    print({part: len(films) for part, films in task.parts.items()})
    trainer = make_engine(task.trained, task.loss, config.seed, engine, config.averaging)
    run = Run(config, folder, task.model)
    (folder / "config.json").write_text(json.dumps(as_record(config), indent=1))
    if resume:
        run.resume(trainer)
    run.train(trainer, task.batches, task.score)
    return run
