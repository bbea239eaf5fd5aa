"""One training step, one prediction and the exact state of a run, with PyTorch's kernels."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable, Iterator

import cv2
import keras
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from pipeline.training.averaging import decay_at
from pipeline.training.batches import ByEpoch
from pipeline.training.torch_twin import RandomTurn, TorchTwin


class TorchEngine:
    """Trains a Keras model through its `TorchTwin`, on a GPU when there is one.

    On a GPU the step's forward pass is in bfloat16 (weights, losses, scores and predictions stay
    float32) and other processes draw the batches. ``averaging``: see `pipeline.training.averaging`.
    """

    def __init__(self, model: keras.Model, loss: str, seed: int, averaging: float = 0.0):
        _keep_freed_memory()
        torch.manual_seed(seed)
        self.on_gpu = torch.cuda.is_available()
        self.device = "cuda" if self.on_gpu else "cpu"
        torch.backends.cudnn.benchmark = True
        self.twin = TorchTwin(model).to(self.device)
        self.loss = LOSSES[loss]
        parameters = self.twin.parameters()
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=self.on_gpu)
        self.averaging, self.steps = averaging, 0
        self.latest = {k: v for k, v in self.twin.state_dict().items() if v.is_floating_point()}
        self.average = {name: value.clone() for name, value in self.latest.items()}

    def rotate(self, on: bool) -> None:
        """Switch random rotations and zooms on or off; flips, which blur nothing, stay."""
        for module in self.twin.modules():
            if isinstance(module, RandomTurn):
                module.on = on

    def stream(self, batches, keys: Iterable[tuple[int, int]]) -> Iterator:
        """The batches of these (epoch, index), drawn ahead of their use on a GPU."""
        workers = min(8, (os.cpu_count() or 1) // 2) if self.on_gpu else 0
        if workers:
            cv2.setNumThreads(1)  # its threads do not survive a fork
        return iter(
            DataLoader(
                ByEpoch(batches),
                sampler=keys,
                batch_size=None,
                num_workers=workers,
                prefetch_factor=8 if workers else None,
                pin_memory=self.on_gpu,
                generator=torch.Generator(),  # leaves the run's own random numbers alone
            )
        )

    def step(self, films, targets, learning_rate: float):
        """Take one Adam step; return the batch's loss, a scalar that may still be on the GPU."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.twin.train()
        self.optimizer.zero_grad()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.on_gpu):
            output = self.twin(self._to_device(films))
        loss = self.loss(output.float(), self._to_device(targets))
        loss.backward()
        self.optimizer.step()
        self._move_average()
        return loss.detach() if self.on_gpu else loss.item()

    def predict(self, films: np.ndarray) -> np.ndarray:
        """The averaged model's output, float32, in inference mode."""
        self.twin.eval()
        with torch.inference_mode():
            films = (self._to_device(films),)
            return torch.func.functional_call(self.twin, self.average, films).cpu().numpy()

    def evaluate(self, films: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
        """Output and mean loss of one batch, in inference mode."""
        output = self.predict(films)
        return output, self.loss(torch.from_numpy(output), torch.from_numpy(targets)).item()

    @contextlib.contextmanager
    def averaged(self):
        """Inside, the Keras model holds the averaged weights."""
        latest = {name: value.clone() for name, value in self.latest.items()}
        self.twin.load_state_dict(self.average, strict=False)
        self.twin.write_back()
        self.twin.load_state_dict(latest, strict=False)
        yield

    def save(self, path) -> None:
        """Write all that the next step depends on: weights, Adam's moments, random state."""
        state = {
            "twin": self.twin.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "steps": self.steps,
            "random": torch.get_rng_state(),
        }
        if self.device == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state()
        torch.save(state, path)

    def load(self, path) -> None:
        """Take up the state that `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.twin.load_state_dict(state["twin"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.steps = state["average"], state["steps"]
        torch.set_rng_state(state["random"])
        if self.device == "cuda" and "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"])

    @torch.no_grad()
    def _move_average(self) -> None:
        decay = decay_at(self.steps, self.averaging)
        self.steps += 1
        averages, latest = list(self.average.values()), list(self.latest.values())
        torch._foreach_lerp_(averages, latest, 1 - decay)  # one kernel, not one per weight

    def _to_device(self, array) -> torch.Tensor:
        return torch.as_tensor(array).to(self.device, non_blocking=True)


def cross_entropy_and_dice(lung: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus one minus soft Dice per film (Milletari et al. 2016, eq. 4)."""
    overlap = (lung * target).sum((1, 2, 3))
    size = lung.sum((1, 2, 3)) + target.sum((1, 2, 3))
    dice = (2 * overlap + 1) / (size + 1)
    return F.binary_cross_entropy(lung, target) + (1 - dice).mean()


def categorical_cross_entropy(probabilities: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of softmax output against (possibly smoothed) one-hot targets."""
    return -(target * probabilities.clamp_min(1e-7).log()).sum(-1).mean()


def covid_and_classes(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the first two columns (COVID or not) plus that of the rest (classes)."""
    return categorical_cross_entropy(scores[:, :2], target[:, :2]) + categorical_cross_entropy(
        scores[:, 2:], target[:, 2:]
    )


def binary_cross_entropy(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of one sigmoid unit against the first column of one-hot targets."""
    return F.binary_cross_entropy(probability[:, 0], target[:, 0])


LOSSES = {
    "cross_entropy_and_dice": cross_entropy_and_dice,
    "covid_and_classes": covid_and_classes,
    "binary_cross_entropy": binary_cross_entropy,
    "categorical_cross_entropy": categorical_cross_entropy,
}


def _keep_freed_memory() -> None:
    """Stop glibc from returning every freed activation to the kernel, page fault by page fault."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option, value in ((-3, 2**30), (-1, 2**31 - 1)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            libc.mallopt(option, value)
