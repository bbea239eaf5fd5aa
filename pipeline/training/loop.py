"""The training loop: stages, learning rate, checkpoint every epoch, exact resume, history."""

import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import keras
from tqdm import tqdm

from pipeline.training.config import Stage, TrainingConfig


class Run:
    """One training run in a folder of its own.

    The folder holds ``checkpoint.bin`` and ``run.json`` after every epoch (the two change together:
    ``run.json`` names the epoch that the checkpoint belongs to) and ``best.weights.h5``, the
    ``model``'s weights with the lowest validation loss of the last stage.
    """

    def __init__(self, config: TrainingConfig, folder: Path, model: keras.Model):
        self.config, self.folder, self.model = config, Path(folder), model
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = {
            "stage": 0,
            "epoch": 0,
            "learning_rate": config.stages[0].learning_rate,
            "best": None,
            "wait": 0,
            "history": [],
        }

    def resume(self, engine) -> bool:
        """Take up the last finished epoch, if there is one; say whether there was.

        A run that came to its end is taken up without its checkpoint, which may be deleted.
        """
        record = self.folder / "run.json"
        if not record.is_file():
            return False
        self.state = json.loads(record.read_text())
        stages = self.config.stages
        left = len(stages) - 1 - self.state["stage"], stages[-1].epochs - self.state["epoch"]
        if any(left):
            engine.load(self.folder / self.state["checkpoint"])
        return True

    def train(self, engine, batches_for: Callable, score: Callable) -> list[dict]:
        """Train until the last stage ends.

        ``batches_for(stage)`` gives the stage's training batches, ``score(engine, stage)`` a dict
        of validation scores with at least ``loss``. Returns the history, one record per epoch.
        """
        while self.state["stage"] < len(self.config.stages):
            stage = self.config.stages[self.state["stage"]]
            batches = batches_for(stage)
            engine.rotate(stage.resample)
            count = min(stage.steps or len(batches), len(batches))
            before = sum(s.epochs for s in self.config.stages[: self.state["stage"]])
            epochs = range(before + self.state["epoch"], before + stage.epochs)
            stream = engine.stream(batches, [(epoch, i) for epoch in epochs for i in range(count)])
            while self.state["epoch"] < stage.epochs and self.state["wait"] < stage.patience:
                self._epoch(engine, stage, itertools.islice(stream, count), count, score)
            self._next_stage()
        return self.state["history"]

    def _epoch(self, engine, stage: Stage, batches, count: int, score) -> None:
        state, epoch = self.state, self.state["epoch"]
        started, total = time.monotonic(), 0.0
        bar = tqdm(batches, total=count, desc=f"{stage.size} px, epoch {epoch + 1}/{stage.epochs}")
        for i, (films, targets) in enumerate(bar):
            rate = self._rate(stage, epoch + i / count)
            total += engine.step(films, targets, rate)
            if i % 20 == 19:  # a GPU must be waited for to name its loss
                bar.set_postfix(loss=f"{float(total) / (i + 1):.4f}", refresh=False)
        scores = score(engine, stage)
        state["history"].append(
            {
                "size": stage.size,
                "epoch": epoch + 1,
                "learning_rate": rate,
                "loss": float(total) / count,
                "validation": scores,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
        tqdm.write(json.dumps(state["history"][-1]))
        state["epoch"] += 1
        self._remember_best(engine, stage, scores["loss"])
        self._save(engine)

    def _rate(self, stage: Stage, progress: float) -> float:
        if stage.final_learning_rate is None:
            return self.state["learning_rate"]
        span = stage.learning_rate - stage.final_learning_rate
        fall = 0.5 + 0.5 * math.cos(math.pi * progress / stage.epochs)
        warm = min(1.0, 0.1 + progress * 2)  # the first half epoch, while BatchNorm settles
        return warm * (stage.final_learning_rate + span * fall)

    def _remember_best(self, engine, stage: Stage, loss: float) -> None:
        state = self.state
        if state["best"] is None or loss < state["best"]:
            state["best"], state["wait"] = loss, 0
            with engine.averaged():
                self.model.save_weights(self.folder / "best.weights.h5")
            return
        state["wait"] += stage.final_learning_rate is None
        if state["wait"] and state["wait"] % 3 == 0:
            state["learning_rate"] /= 2

    def _next_stage(self) -> None:
        state, stages = self.state, self.config.stages
        state["stage"] += 1
        if state["stage"] < len(stages):
            state |= {"epoch": 0, "best": None, "wait": 0}
            state["learning_rate"] = stages[state["stage"]].learning_rate

    def _save(self, engine) -> None:
        state = self.state
        previous = state.get("checkpoint")
        state["checkpoint"] = f"checkpoint-{len(state['history'])}.bin"
        engine.save(self.folder / state["checkpoint"])
        record = self.folder / "run.json.new"
        record.write_text(json.dumps(state, indent=1))
        record.replace(self.folder / "run.json")
        if previous:
            (self.folder / previous).unlink(missing_ok=True)
