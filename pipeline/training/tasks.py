"""What a model is trained on and how it is scored: one class per kind of model."""

from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from pipeline import registry
from pipeline.models.light_cnn import build_light_cnn
from pipeline.models.unet import build_unet
from pipeline.training.batches import BalancedBatches, SegmentationBatches
from pipeline.training.config import Stage, TrainingConfig
from pipeline.training.database import load_films, load_masks, read_database
from pipeline.training.masked_films import masked_films
from pipeline.training.split import split_films


class SegmentationTask:
    """The U-Net: every film that has a lung mask."""

    loss = "cross_entropy_and_dice"
    build = staticmethod(build_unet)

    def __init__(self, config: TrainingConfig, data: Path):
        self.config, self.model = config, self.build()
        parts = split_films(read_database(data))
        self.parts = {part: [f for f in films if f.mask] for part, films in parts.items()}
        self.arrays = {}

    def batches(self, stage: Stage) -> SegmentationBatches:
        """The stage's training batches."""
        films, masks = self._pairs("train", stage.size)
        return SegmentationBatches(
            films, masks, stage.batch_size, self.config.equalise, self.config.seed
        )

    def score(self, engine, stage: Stage) -> dict:
        """Loss, mean Dice and pixel accuracy of the validation films."""
        films, masks = self._pairs("validation", stage.size)
        if self.config.equalise:
            films = np.stack([cv2.equalizeHist(f[..., 0])[..., None] for f in films])
        losses, dice, accuracy = [], [], []
        for i in range(0, len(films), 16):
            target = (masks[i : i + 16] > 127).astype(np.float32)
            lung, loss = engine.evaluate(_unit(films[i : i + 16]), target)
            mask = np.rint(lung)
            size = mask.sum((1, 2, 3)) + target.sum((1, 2, 3))
            dice += list(2 * (mask * target).sum((1, 2, 3)) / np.maximum(size, 1))
            accuracy += list((mask == target).mean((1, 2, 3)))
            losses.append(loss * len(target))
        return {
            "loss": sum(losses) / len(films),
            "dice": float(np.mean(dice)),
            "accuracy": float(np.mean(accuracy)),
        }

    def _pairs(self, part: str, size: int):
        if (part, size) not in self.arrays:
            films = self.parts[part]
            self.arrays[part, size] = load_films(films, size), load_masks(films, size)
        return self.arrays[part, size]


class ClassificationTask:
    """A classifier of films that the shipped U-Net has masked."""

    loss = "categorical_cross_entropy"
    full_size = 256
    build = staticmethod(build_light_cnn)

    def __init__(self, config: TrainingConfig, data: Path, cache: Path = Path(".cache")):
        self.config, self.cache = config, cache
        self.model = self.build()
        parts = split_films(read_database(data))
        self.parts = {part: [f for f in films if f.label] for part, films in parts.items()}
        self.targets = {
            label: target
            for target, labels in enumerate(config.groups.values())
            for label in labels
        }
        self.arrays = {}

    def batches(self, stage: Stage) -> BalancedBatches:
        """The stage's training batches."""
        labels = [film.label for film in self.parts["train"]]
        films = self.films("train", stage.size)
        groups, seed = self.config.groups, self.config.seed
        return BalancedBatches(films, labels, groups, stage.batch_size, seed, jitter=stage.resample)

    def score(self, engine, stage: Stage) -> dict:
        """Loss, classes weighing alike as in training; AUC and accuracy as the films come."""
        films = self.films("validation", stage.size)
        truth = np.array([self.targets[film.label] for film in self.parts["validation"]])
        scored = [engine.predict(_unit(films[i : i + 32])) for i in range(0, len(films), 32)]
        probabilities = np.concatenate(scored)
        own = -np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-7))
        return {
            "loss": float(np.mean([own[truth == t].mean() for t in np.unique(truth)])),
            "auc": float(roc_auc_score(truth == 0, probabilities[:, 0])),
            "accuracy": float((probabilities.argmax(1) == truth).mean()),
        }

    def films(self, part: str, size: int) -> np.ndarray:
        """Masked, equalised films of one part, uint8 (film, size, size, 1)."""
        if part not in self.arrays:
            self.arrays[part] = self._masked(part)
        films = self.arrays[part]
        if films.shape[1] == size:
            return films
        area = cv2.INTER_AREA
        return np.stack([cv2.resize(f, (size, size), interpolation=area)[..., None] for f in films])

    def _masked(self, part: str) -> np.ndarray:
        from pipeline.training.engines import predictor_of

        entry = registry.entry("unet")
        unet = build_unet()
        unet.load_weights(entry.checked_file())
        return masked_films(
            self.parts[part],
            self.full_size,
            predictor_of(unet),
            entry.sha256,
            self.config.equalise,
            self.cache,
        )


def _unit(films: np.ndarray) -> np.ndarray:
    return films.astype(np.float32) / np.float32(255)


TASKS = {"unet": SegmentationTask, "light": ClassificationTask}
