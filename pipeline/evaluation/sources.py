"""Disease or source? The light CNN trained without one COVID source, tested on that source.

    python -m pipeline evaluate --what sources --data DIR --json FILE

Cheap on purpose: half size, few epochs, on the shipped U-Net's masks. Only the differences between
these runs mean anything; the shipped weights are not among them. Runs lie in ``runs/sources``, and
one that is there already is taken up where it stopped.
"""

from pathlib import Path

import numpy as np

from pipeline import __version__, registry
from pipeline.evaluation.metrics import auc_with_interval
from pipeline.training.config import Stage, TrainingConfig
from pipeline.training.engines import make_engine, predictor_of
from pipeline.training.loop import Run
from pipeline.training.tasks import ClassificationTask

CHEAP = Stage(128, 5, 48, learning_rate=2e-3, final_learning_rate=1e-5, steps=100, resample=False)
GROUPS = {"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")}
FEWEST = 30  # films of a source, below which an AUC says nothing


def leave_one_source_out(
    data: Path, runs: Path = Path("runs/sources"), stage: Stage = CHEAP, fewest: int = FEWEST
) -> dict:
    """AUC on each COVID source's films, of a model that never saw the source and of one that did.

    ``seen``: trained on every source, on the source's films of the test part. ``unseen``: trained
    without the source, on all its films; ``unseen_test`` on those of the test part alone, which is
    the like-for-like comparison. The other class is that of the test part throughout.
    """
    config = TrainingConfig("light", (stage,), groups=GROUPS, label_smoothing=0.02)
    everything = _trained(config, data, None, runs)
    films = [f for part in everything[0].parts.values() for f in part if f.label == "COVID"]
    sources = sorted({f.source for f in films})
    result = {}
    for source in sources:
        count = sum(f.source == source for f in films)
        if count < fewest:
            continue
        held_out = _trained(config, data, source, runs)
        result[source] = {
            "films": count,
            "test_films": sum(
                (f.label, f.source) == ("COVID", source) for f in everything[0].parts["test"]
            ),
            "seen": _auc(*everything, source, ("test",)),
            "unseen_test": _auc(*held_out, source, ("test",)),
            "unseen": _auc(*held_out, source, ("train", "validation", "test")),
        }
    return {
        "what": "sources",
        "model": "light",
        "unet_sha256": registry.entry("unet").sha256,
        "version": __version__,
        "part": "test",
        "settings": {
            "size": stage.size,
            "epochs": stage.epochs,
            "films_per_epoch": (stage.steps or 0) * stage.batch_size,
        },
        "sources": result,
    }


def _trained(config: TrainingConfig, data: Path, without: str | None, runs: Path):
    """A task and its scores of every part, with a model trained without a source."""
    task = ClassificationTask(config, data, without)
    engine = make_engine(task.trained, task.loss, config.seed)
    run = Run(config, runs / (without or "none"), task.model)
    run.resume(engine)
    run.train(engine, task.batches, task.score)
    task.model.load_weights(run.folder / "best.weights.h5")
    predict = predictor_of(task.model)
    size = config.stages[-1].size
    return task, {part: task.predict(predict, part, size)[:, 0] for part in task.parts}


def _auc(task: ClassificationTask, scores: dict, source: str, parts: tuple[str, ...]) -> dict:
    own = [
        score
        for part in parts
        for film, score in zip(task.parts[part], scores[part], strict=True)
        if (film.label, film.source) == ("COVID", source)
    ]
    others = [
        score
        for film, score in zip(task.parts["test"], scores["test"], strict=True)
        if film.label != "COVID"
    ]
    truth = np.repeat([True, False], [len(own), len(others)])
    return auc_with_interval(truth, np.array(own + others))
