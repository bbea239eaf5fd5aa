"""The training loop: PyTorch's kernels under the Keras graph, exact resume, the best epoch kept."""

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

# Threads that wait give their core to others; a step takes no longer for it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import keras
import numpy as np
import torch
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pipeline.training.recipe import Recipe, as_record
from pipeline.training.twin import TorchTwin

Array = np.ndarray
Predict = Callable[[Array], Array]  # float32 images in, float32 outputs out
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Tensors = list[torch.Tensor]


class Trainer:
    """One run of a recipe over a Keras model.

    The forward pass is in bfloat16 where the processor or a GPU has it; weights, losses and
    predictions are float32. What is scored and kept is the running average of the weights and of
    BatchNorm's statistics.

    ``model`` is trained by ``loss(output, target)``. ``head``: names of the layers that learn at
    the recipe's ``learning_rate`` while all others learn at its ``trunk_rate``; None for all alike.
    ``shipped``: the part of ``model`` whose weights are kept, where it is not all of it.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: keras.Model,
        loss: Loss,
        head: set[str] | None = None,
        shipped: keras.Model | None = None,
    ):
        _keep_freed_memory()
        self.recipe, self.loss, self.shipped = recipe, loss, shipped or model
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.twin = TorchTwin(model).to(self.device)
        self.average = AveragedModel(
            self.twin, multi_avg_fn=_running_average(recipe.averaging), use_buffers=True
        )
        named = [(name.split(".")[1], p) for name, p in self.twin.named_parameters()]
        fast = [p for layer, p in named if head is None or layer in head]
        slow = [p for layer, p in named if head is not None and layer not in head]
        rates = [recipe.learning_rate] + [recipe.trunk_rate or recipe.learning_rate] * bool(slow)
        groups = [{"params": parameters} for parameters in (fast, slow) if parameters]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, eps=1e-7)
        steps = recipe.steps * len(recipe.sizes)
        self.schedule = OneCycleLR(
            self.optimizer, rates, steps, pct_start=0.2, cycle_momentum=False, final_div_factor=1e3
        )
        self.epoch = 0
        self.best: float | None = None
        self.history: list[dict[str, Any]] = []

    def fit(
        self,
        batches_for: Callable[[int], Dataset],
        score: Callable[[Predict, int], dict[str, Any]],
        folder: Path,
        resume: bool = False,
    ) -> list[dict[str, Any]]:
        """Train to the recipe's end; return the history, one record per epoch.

        ``batches_for(size)`` gives the batches of all epochs at that size, ``score(predict, size)``
        a dict of validation scores whose ``choice`` is the one to raise. ``folder`` gets
        ``checkpoint.pt`` after every epoch, ``history.json``, and ``best.weights.h5``, the averaged
        weights of the best epoch at the last size. A run that was killed goes on from its last
        whole epoch as if it had never stopped. Raises ValueError where it had another recipe.
        """
        folder.mkdir(parents=True, exist_ok=True)
        recipe = json.dumps(as_record(self.recipe), indent=1)
        if resume and (folder / "checkpoint.pt").is_file():
            if (folder / "recipe.json").read_text() != recipe:
                raise ValueError(
                    f"{folder} was begun with another recipe, see its recipe.json: resume with "
                    "that one, or train in another folder."
                )
            self.load(folder / "checkpoint.pt")
        (folder / "recipe.json").write_text(recipe)
        sizes, steps = self.recipe.sizes, self.recipe.steps
        while self.epoch < len(sizes):
            size, started = sizes[self.epoch], time.monotonic()
            torch.manual_seed(1000 * self.recipe.seed + self.epoch)
            numbers = range(self.epoch * steps, (self.epoch + 1) * steps)
            loss = self._epoch(self._stream(batches_for(size), numbers))
            scores = score(self.predict, size)
            record: dict[str, Any] = {
                "epoch": self.epoch + 1,
                "size": size,
                "loss": loss,
                "validation": scores,
            }
            record["seconds"] = round(time.monotonic() - started, 1)
            tqdm.write(json.dumps(record))
            self.history.append(record)
            self.epoch += 1
            if size == sizes[-1] and (self.best is None or scores["choice"] > self.best):
                self.best = scores["choice"]
                self.average.module.write_back()
                self.shipped.save_weights(folder / "best.weights.h5")
            # Before the checkpoint: a run that is killed in between writes it again.
            (folder / "history.json").write_text(json.dumps(self.history, indent=1))
            self.save(folder / "checkpoint.pt")
        return self.history

    def _epoch(self, batches: Iterable[tuple[Array, Array]]) -> float:
        total, count = 0.0, 0
        for images, targets in tqdm(batches, desc=f"epoch {self.epoch + 1}", mininterval=30):
            total, count = total + self.step(images, targets), count + 1
        return float(total) / count

    def step(self, images: Array, targets: Array) -> torch.Tensor:
        """One AdamW step; the batch's loss, a scalar tensor."""
        self.twin.train()
        self.optimizer.zero_grad()
        with self._half():
            output = self.twin(self._to_device(images))
        loss = self.loss(output.float(), self._to_device(targets))
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.twin)
        return loss.detach()

    def predict(self, images: Array) -> Array:
        """The averaged model's output for float32 images, float32, in inference mode."""
        return _predict(self.average.module, images, self.device, half=True)

    def save(self, path: Path) -> None:
        """Write all that the next step depends on. The file is whole or not there."""
        state = {name: getattr(self, name).state_dict() for name in STATEFUL}
        state |= {"epoch": self.epoch, "best": self.best, "history": self.history}
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Take up the state that `save` wrote."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]

    def _stream(self, batches: Dataset, numbers: Sequence[int]) -> DataLoader:
        workers = min(8, (os.cpu_count() or 1) // 2) if self.device == "cuda" else 0
        if workers:
            cv2.setNumThreads(1)  # its threads do not survive a fork
        return DataLoader(
            batches,
            sampler=numbers,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
            pin_memory=self.device == "cuda",
            generator=torch.Generator(),  # leaves the run's own random numbers alone
        )

    def _half(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device, torch.bfloat16, enabled=has_bfloat16())

    def _to_device(self, array: Array) -> torch.Tensor:
        return torch.as_tensor(array).to(self.device, non_blocking=True)


STATEFUL = ("twin", "average", "optimizer", "schedule")


def predictor_of(model: keras.Model, half: bool = False) -> Predict:
    """The model in inference mode, batches of float32 arrays in and out; ``half``: in bfloat16."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    twin = TorchTwin(model).to(device)
    return lambda images: _predict(twin, images, device, half)


def has_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 faster than float32."""
    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


def _predict(twin: TorchTwin, images: Array, device: str, half: bool) -> Array:
    twin.eval()
    enabled = half and has_bfloat16()
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=enabled):
        return twin(torch.as_tensor(images).to(device)).float().cpu().numpy()


def _running_average(decay: float) -> Callable[[Tensors, Tensors, torch.Tensor], None]:
    """How `AveragedModel` moves: small steps of the decay at first, so that the start is forgotten;
    counters are copied."""

    @torch.no_grad()
    def move(averages: Tensors, latest: Tensors, updates: torch.Tensor) -> None:
        if torch.is_floating_point(averages[0]):
            now = min(decay, (1 + float(updates)) / (10 + float(updates)))
            torch._foreach_lerp_(averages, latest, 1 - now)
        else:
            torch._foreach_copy_(averages, latest)

    return move


def _keep_freed_memory() -> None:
    """Stop glibc from returning every freed activation to the kernel, page fault by page fault."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option, value in ((-3, 2**30), (-1, 2**31 - 1)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            libc.mallopt(option, value)
