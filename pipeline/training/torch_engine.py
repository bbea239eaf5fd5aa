"""One training step, one prediction and the exact state of a run, with PyTorch's kernels."""

import contextlib
import ctypes
import sys

import keras
import numpy as np
import torch
import torch.nn.functional as F

from pipeline.training.averaging import decay_at
from pipeline.training.torch_twin import RandomTurn, TorchTwin


class TorchEngine:
    """Trains a Keras model through its `TorchTwin`, on a GPU when there is one.

    ``averaging``: see `pipeline.training.averaging`.
    """

    def __init__(self, model: keras.Model, loss: str, seed: int, averaging: float = 0.0):
        _keep_freed_memory()
        torch.manual_seed(seed)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.twin = TorchTwin(model).to(self.device)
        self.loss = LOSSES[loss]
        self.optimizer = torch.optim.Adam(self.twin.parameters(), lr=1e-3, eps=1e-7)
        self.averaging, self.steps = averaging, 0
        self.average = {name: value.clone() for name, value in self.twin.state_dict().items()}

    def rotate(self, on: bool) -> None:
        """Switch random rotations and zooms on or off; flips, which blur nothing, stay."""
        for module in self.twin.modules():
            if isinstance(module, RandomTurn):
                module.on = on

    def step(self, films: np.ndarray, targets: np.ndarray, learning_rate: float) -> float:
        """Take one Adam step; return the batch's loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.twin.train()
        self.optimizer.zero_grad()
        loss = self.loss(self.twin(self._to_device(films)), self._to_device(targets))
        loss.backward()
        self.optimizer.step()
        self._move_average()
        return loss.item()

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
        latest = {name: value.clone() for name, value in self.twin.state_dict().items()}
        self.twin.load_state_dict(self.average)
        self.twin.write_back()
        self.twin.load_state_dict(latest)
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
        for name, value in self.twin.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


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
