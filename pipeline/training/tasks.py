"""What a model is trained on and how it is scored: one class per kind of model."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np

from pipeline import registry
from pipeline.evaluation.metrics import auc_with_interval
from pipeline.models.architectures import ARCHITECTURES, Architecture
from pipeline.models.unet import build_unet
from pipeline.training.batches import (
    BalancedBatches,
    SegmentationBatches,
    jitter_film,
    shift_film,
)
from pipeline.training.config import Stage, TrainingConfig
from pipeline.training.database import load_films, load_masks, read_database
from pipeline.training.engines import predictor_of
from pipeline.training.masked_films import masked_films
from pipeline.training.split import split_films


class SegmentationTask:
    """The U-Net: every film that has a lung mask."""

    loss = "cross_entropy_and_dice"

    def __init__(self, config: TrainingConfig, data: Path):
        self.config = config
        self.model = self.trained = build_unet()
        parts = split_films(read_database(data))
        self.parts = {part: [f for f in films if f.mask] for part, films in parts.items()}
        self.arrays = {}

    def batches(self, stage: Stage) -> SegmentationBatches:
        """The stage's training batches."""
        films, masks = self._pairs("train", stage.size)
        share = 1.0 if stage.resample else 0.25
        return SegmentationBatches(
            films, masks, stage.batch_size, self.config.equalise, self.config.seed, share
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
    """A classifier, on films that the shipped U-Net has masked or on whole films.

    ``without`` names a source whose COVID films neither training nor validation may use.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: Path,
        without: str | None = None,
        cache: Path = Path(".cache"),
    ):
        self.config, self.cache, self.without = config, cache, without
        self.architecture = ARCHITECTURES[config.model]
        options = {"init": config.init} if config.init else {}
        self.model = self.architecture.build(**options)
        self.trained, self.loss = self._with_loss()
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
        config = self.config
        used = self.used("train")
        return BalancedBatches(
            self.films("train", stage.size)[used],
            [self.parts["train"][i].label for i in used],
            config.groups,
            stage.batch_size,
            config.seed,
            jitters=[jitter_film] * stage.resample + [shift_film] * stage.shift,
            top=self.top,
            smoothing=config.label_smoothing,
            classes=config.classes,
            teacher=self._teach()[used] if config.teachers else None,
            teacher_share=config.teacher_share,
            mixup=stage.mixup,
        )

    def score(self, engine, stage: Stage) -> dict:
        """Loss, classes weighing alike as in training; AUC and accuracy as the films come."""
        used = self.used("validation")
        truth = np.array([self.targets[self.parts["validation"][i].label] for i in used])
        probabilities = self.predict(engine.predict, "validation", stage.size)[used]
        own = -np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-7))
        return {
            "loss": float(np.mean([own[truth == t].mean() for t in np.unique(truth)])),
            "auc": auc_with_interval(truth == 0, probabilities[:, 0])["value"],
            "accuracy": float((probabilities.argmax(1) == truth).mean()),
        }

    def used(self, part: str) -> list[int]:
        """Which films of a part training or validation may use."""
        films = enumerate(self.parts[part])
        return [i for i, f in films if (f.label, f.source) != ("COVID", self.without)]

    def predict(self, predict: Callable, part: str, size: int) -> np.ndarray:
        """What a model says of one part's films: float32 (film, groups)."""
        scores = in_batches(predict, self.films(part, size), self.top)
        return scores[:, : len(self.config.groups)]

    def films(self, part: str, size: int) -> np.ndarray:
        """Films of one part as the classifier is shown them, uint8 (film, size, size, 1)."""
        if part not in self.arrays:
            self.arrays[part] = self._seen(self.architecture, part)
        films = self.arrays[part]
        if films.shape[1] == size:
            return films
        area = cv2.INTER_AREA
        return np.stack([cv2.resize(f, (size, size), interpolation=area)[..., None] for f in films])

    @property
    def top(self) -> float:
        """The brightest value that the classifier is shown."""
        return 1.0 if self.architecture.masked else 255.0

    def _with_loss(self) -> tuple[keras.Model, str]:
        """What is trained, of which the model is a part, and its loss."""
        if self.config.classes:
            logits = self.model.get_layer("class_logits").output
            classes = keras.layers.Softmax(name="classes")(logits)
            both = keras.layers.Concatenate(name="scores")([self.model.output, classes])
            return keras.Model(self.model.input, both), "covid_and_classes"
        one_unit = self.model.output.shape[-1] == 1
        return self.model, "binary_cross_entropy" if one_unit else "categorical_cross_entropy"

    def _teach(self) -> np.ndarray:
        """The mean of the teachers' scores of the training films."""
        return np.mean([self._scores_of(teacher) for teacher in self.config.teachers], axis=0)

    def _scores_of(self, teacher: str) -> np.ndarray:
        """What a shipped classifier says of the training films, kept in the cache."""
        entry, unet = registry.entry(teacher), registry.entry("unet")
        names = "\n".join(film.path.name for film in self.parts["train"])
        key = hashlib.sha256(f"{names}|{entry.sha256}|{unet.sha256}".encode()).hexdigest()[:16]
        path = self.cache / f"scores-{teacher}-{key}.npy"
        if not path.is_file():
            architecture = ARCHITECTURES[teacher]
            model = architecture.build()
            model.load_weights(entry.checked_file())
            films = self._seen(architecture, "train")
            np.save(path, in_batches(predictor_of(model), films))
        return np.load(path)

    def _seen(self, architecture: Architecture, part: str) -> np.ndarray:
        films, size = self.parts[part], architecture.input_size
        if not architecture.masked:
            return load_films(films, size)
        entry = registry.entry("unet")
        unet = build_unet()
        unet.load_weights(entry.checked_file())
        predict = predictor_of(unet)
        equalise = self.config.equalise
        return masked_films(films, size, predict, entry.sha256, equalise, self.cache)


def in_batches(predict: Callable, films: np.ndarray, top: float = 1.0) -> np.ndarray:
    """Scores of uint8 films, shown as 0..``top``: float32 (film, columns), never one alone."""
    scale = np.float32(255 / top)
    scores = np.concatenate(
        [predict(films[i : i + 32].astype(np.float32) / scale) for i in range(0, len(films), 32)]
    )
    return np.concatenate([scores, 1 - scores], axis=1) if scores.shape[1] == 1 else scores


def _unit(films: np.ndarray) -> np.ndarray:
    return films.astype(np.float32) / np.float32(255)


def task_of(config: TrainingConfig, data: Path):
    """The task that a configuration names."""
    return (SegmentationTask if config.model == "unet" else ClassificationTask)(config, data)
