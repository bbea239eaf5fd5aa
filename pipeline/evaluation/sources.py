"""Disease or source? The light CNN trained without one COVID source, tested on that source.

    python -m pipeline evaluate --what sources --data DIR --json FILE

Cheap on purpose: half size, few epochs, on the shipped U-Net's masks. Only the differences between
these runs mean anything; the shipped weights are not among them. Runs lie in ``runs/sources``, and
one that is there already is taken up where it stopped. Some ten minutes for each on two cores.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import __version__, registry
from pipeline.evaluation.metrics import auc_with_interval
from pipeline.training.config import Stage, TrainingConfig
from pipeline.training.database import Film
from pipeline.training.engines import make_engine, predictor_of
from pipeline.training.loop import Run
from pipeline.training.tasks import ClassificationTask, in_batches

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
    everything = trained_without(None, data, runs, stage)
    seen_others = _scores(everything, stage.size, "test", _is_not_covid)
    covid = [f for part in everything.parts.values() for f in part if f.label == "COVID"]
    result = {}
    for source in sorted({film.source for film in covid}):
        count = sum(film.source == source for film in covid)
        if count < fewest:
            continue
        held_out = trained_without(source, data, runs, stage)
        own = partial(_is_covid_of, source)
        unseen = {part: _scores(held_out, stage.size, part, own) for part in held_out.parts}
        others = _scores(held_out, stage.size, "test", _is_not_covid)
        result[source] = {
            "films": count,
            "test_films": len(unseen["test"]),
            "seen": _auc(_scores(everything, stage.size, "test", own), seen_others),
            "unseen_test": _auc(unseen["test"], others),
            "unseen": _auc(np.concatenate(list(unseen.values())), others),
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


def trained_without(
    source: str | None, data: Path, runs: Path, stage: Stage = CHEAP
) -> ClassificationTask:
    """A task whose light CNN was trained without a source's COVID films, or on all (None)."""
    config = TrainingConfig("light", (stage,), groups=GROUPS, label_smoothing=0.02, averaging=0.99)
    task = ClassificationTask(config, data, source)
    engine = make_engine(task.trained, task.loss, config.seed, averaging=config.averaging)
    run = Run(config, runs / (source or "none"), task.model)
    run.resume(engine)
    run.train(engine, task.batches, task.score)
    task.model.load_weights(run.folder / "best.weights.h5")
    return task


def _scores(task: ClassificationTask, size: int, part: str, wanted: Callable) -> np.ndarray:
    """COVID scores of those films of a part that are ``wanted``."""
    chosen = [i for i, film in enumerate(task.parts[part]) if wanted(film)]
    if not chosen:
        return np.empty(0, np.float32)
    return in_batches(predictor_of(task.model), task.films(part, size)[chosen])[:, 0]


def _is_covid_of(source: str, film: Film) -> bool:
    return (film.label, film.source) == ("COVID", source)


def _is_not_covid(film: Film) -> bool:
    return film.label != "COVID"


def _auc(own: np.ndarray, others: np.ndarray) -> dict:
    truth = np.repeat([True, False], [len(own), len(others)])
    return auc_with_interval(truth, np.concatenate([own, others]))
