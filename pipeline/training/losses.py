"""What training minimises; every function takes float32 tensors with Keras's axes."""

import torch
import torch.nn.functional as F


def cross_entropy_and_dice(lung: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus one minus soft Dice per image (Milletari et al. 2016, eq. 4)."""
    overlap = (lung * target).sum((1, 2, 3))
    size = lung.sum((1, 2, 3)) + target.sum((1, 2, 3))
    dice = (2 * overlap + 1) / (size + 1)
    return F.binary_cross_entropy(lung, target) + (1 - dice).mean()


def cross_entropy(probabilities: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of probabilities (batch, columns) against soft targets of that shape.

    One column is a sigmoid unit. A target row of zeros counts for nothing.
    """
    if probabilities.shape[-1] == 1:
        return F.binary_cross_entropy(probabilities[:, 0], target[:, 0])
    return -(target * probabilities.clamp_min(1e-7).log()).sum(-1).mean()


def covid_and_classes(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the first two columns (COVID or not) plus that of the rest (classes)."""
    return cross_entropy(scores[:, :2], target[:, :2]) + cross_entropy(scores[:, 2:], target[:, 2:])
