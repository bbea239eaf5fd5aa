"""What a model is trained on and how it is scored: one class per kind of model."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from pipeline.data.database import load_films, load_masks
from pipeline.data.split import Row, films_of, row_of
from pipeline.evaluation.estimates import auc_with_interval
from pipeline.models import registry
from pipeline.models.spec import ARCHITECTURES, CLASSES, Architecture
from pipeline.models.unet import build_unet
from pipeline.models.xception import load_imagenet_trunk
from pipeline.training import losses
from pipeline.training.augment import vary
from pipeline.training.batches import Batches, Pairs
from pipeline.training.fit import Predict, predictor_of
from pipeline.training.pack import Pack
from pipeline.training.prepared import CACHE, Prepared, prepare
from pipeline.training.recipe import Recipe

Array = np.ndarray
UNIT = np.float32(255)


class SegmentationTask:
    """The U-Net: every image that has a lung mask."""

    loss, head = staticmethod(losses.cross_entropy_and_dice), None

    def __init__(self, recipe: Recipe, data: Path):
        self.recipe = recipe
        self.model = self.trained = build_unet()
        self.films = {p: [f for f in films_of(data, p) if f.mask] for p in ("train", "validation")}
        self.arrays: dict[tuple[str, int], tuple[Array, Array]] = {}

    def batches(self, size: int) -> Pairs:
        """The training batches at one image size; the last stage leaves most images sharp."""
        share = 1.0 if size < self.recipe.sizes[-1] else 0.5
        images, masks = self._pairs("train", size)
        return Pairs(images, masks, self.recipe.batch, self.recipe.seed, share)

    def score(self, predict: Predict, size: int) -> dict[str, Any]:
        """Mean Dice and pixel accuracy of the validation images."""
        images, masks = self._pairs("validation", size)
        dice, accuracy = [], []
        for i in range(0, len(images), 16):
            target = masks[i : i + 16] > 127
            shown = np.stack([cv2.equalizeHist(image) for image in images[i : i + 16]])
            mask = predict(shown[..., None] / UNIT)[..., 0] > 0.5
            total = mask.sum((1, 2)) + target.sum((1, 2))
            dice += list(2 * (mask & target).sum((1, 2)) / np.maximum(total, 1))
            accuracy += list((mask == target).mean((1, 2)))
        mean = float(np.mean(dice))
        return {"choice": mean, "dice": mean, "accuracy": float(np.mean(accuracy))}

    def _pairs(self, part: str, size: int) -> tuple[Array, Array]:
        if (part, size) not in self.arrays:
            films = self.films[part]
            self.arrays[part, size] = (
                load_films(films, size)[..., 0],
                load_masks(films, size)[..., 0],
            )
        return self.arrays[part, size]


class ClassificationTask:
    """A classifier, on images whose lungs the shipped U-Net has cut out, or on whole images."""

    def __init__(self, recipe: Recipe, data: Path | list[Path]):
        self.recipe = recipe
        self.architecture = ARCHITECTURES[recipe.model]
        self.model = self.architecture.build()
        if recipe.init:
            load_imagenet_trunk(self.model, recipe.init)
        self.head = _untrained_layers(self.model) if recipe.init else None
        self.trained = _with_classes(self.model) if recipe.classes else self.model
        self.loss = losses.covid_and_classes if recipe.classes else losses.cross_entropy
        self.pack: Pack | None = None
        if isinstance(data, list):
            self.pack = Pack(data)
            films = self.pack.films
        else:
            films = films_of(data, siim=True)
        self.rows = [row_of(film) for film in films]
        parts = {"train": set(recipe.shares), "validation": None}
        self.chosen = {
            part: [
                i
                for i, row in enumerate(self.rows)
                if row.part == part and (row.stratum in strata if strata else row.target)
            ]
            for part, strata in parts.items()
        }
        self.chosen["train"] = [
            i for i in self.chosen["train"] if recipe.fold is None or self._fold(i) != recipe.fold
        ]
        self.films = films
        self.seen: dict[str, Prepared] = {}

    def leave_out(self, without: str) -> None:
        """Train and validate without a source, or without "as many as" it has of each stratum."""
        source, rng = without.removeprefix("as many as "), np.random.default_rng(self.recipe.seed)
        for part, chosen in self.chosen.items():
            own = [i for i in chosen if self.rows[i].source == source]
            if without != source:
                own = [
                    int(i)
                    for stratum in sorted({self.rows[i].stratum for i in own})
                    for i in _as_many(self.rows, chosen, own, stratum, rng)
                ]
            self.chosen[part] = sorted(set(chosen) - set(own))
        left = {self.rows[i].stratum for i in self.chosen["train"]}
        shares = {name: count for name, count in self.recipe.shares.items() if name in left}
        self.recipe = replace(self.recipe, shares=shares)
        self.seen = {}

    def batches(self, size: int) -> Batches:
        """The training batches at one image size."""
        rows = [self.rows[i] for i in self.chosen["train"]]
        seen = self._seen("train")

        def draw(index: int, rng: np.random.Generator) -> Array:
            mask = seen.masks[index] if self.architecture.masked else None
            shown = vary(seen.images[index], mask, rng)
            return _input_of(shown, self.architecture, size)

        return Batches(
            [row.stratum for row in rows],
            self.recipe.shares,
            draw,
            self._targets(),
            self.recipe.seed,
        )

    def score(self, predict: Predict, size: int) -> dict[str, Any]:
        """AUC on the database's and on SIIM's validation images, and shares called COVID at 0.5.

        ``choice`` is the mean of the two: a model that reads the hospital gains on one scale only.
        """
        rows = [self.rows[i] for i in self.chosen["validation"]]
        scores = self.predict(predict, "validation", size)
        truth = np.array([row.target == "COVID" for row in rows])
        kinds = np.array([row.stratum for row in rows])
        database = np.array([bool(row.label) for row in rows])
        siim = np.isin(kinds, ["siim typical", "siim negative"])
        aucs = [auc_with_interval(truth[of], scores[of]).value for of in (database, siim)]
        called = {
            str(kind): round(float((scores[kinds == kind] >= 0.5).mean()), 4)
            for kind in np.unique(kinds)
        }
        choice = float(np.mean([auc for auc in aucs if auc is not None]))
        return {"choice": choice, "database": aucs[0], "siim": aucs[1], "called": called}

    def predict(self, predict: Predict, part: str, size: int) -> Array:
        """COVID scores of a part's images: float32 (image,)."""
        return _scores(predict, self._seen(part), self.architecture, size)

    def _targets(self) -> Array:
        """Soft targets of the training images, one column an output of what is trained.

        COVID alone; COVID or not; COVID, normal or anything else; COVID or not and the classes.
        Raises ValueError where an image has no label and no teacher.
        """
        rows, smoothing = [self.rows[i] for i in self.chosen["train"]], self.recipe.smoothing
        own = np.array([[row.target == name for name in CLASSES] for row in rows], np.float32)
        known = np.asarray(own.any(axis=1, keepdims=True))
        if not (known.all() or self.recipe.teachers):
            unlabelled = {row.stratum for row in rows if row.target is None}
            raise ValueError(
                f"no radiologist called the images of {sorted(unlabelled)}: give the recipe a "
                "teacher, or take them out of its shares."
            )
        covid = np.where(own[:, :1], [[1, 0]], [[0, 1]]) * (1 - smoothing) + smoothing / 2
        if self.recipe.teachers:
            taught = np.mean([self._lesson(file, known) for file in self.recipe.teachers], axis=0)
            taught = np.stack([taught, 1 - taught], axis=1)
            share = np.where(known, self.recipe.teacher_share, 1.0)
            covid = (1 - share) * covid + share * taught
        own = known * (own * (1 - smoothing) + smoothing / len(CLASSES))
        columns = self.trained.output.shape[-1]
        if columns == 3:
            targets = np.stack([own[:, 0], own[:, 1], own[:, 2] + own[:, 3]], axis=1)
        else:
            targets = np.concatenate([covid, own], axis=1)[:, :columns]
        return targets.astype(np.float32)

    def _fold(self, index: int) -> int:
        """The fold of an image, the same for all images of a patient."""
        group = hashlib.sha256(self.rows[index].group.encode()).digest()
        return int.from_bytes(group[:8], "big") % self.recipe.folds

    def _lesson(self, teacher: str, known: Array) -> Array:
        """What a teacher, or one a fold, says of the training images: float32 (image,).

        ``known``: (image, 1), whether the image has a label, so that teachers were trained on it.
        """
        if "{fold}" not in teacher:
            return self._taught(teacher)
        folds = range(self.recipe.folds)
        said = np.stack([self._taught(teacher.format(fold=fold)) for fold in folds])
        of = np.array([self._fold(i) for i in self.chosen["train"]])
        return np.where(known[:, 0], said[of, np.arange(len(of))], said.mean(axis=0))

    def _taught(self, teacher: str) -> Array:
        """What a teacher says of the training images: float32 (image,).

        It is shown what the student is shown, at its own size. Kept in the cache: a run that goes
        on must be taught what it was taught before.
        """
        shipped = teacher in ARCHITECTURES
        architecture = ARCHITECTURES[teacher if shipped else "xception"]
        file = registry.entry(teacher).checked_file() if shipped else Path(teacher)
        key = hashlib.sha256(f"{self._seen('train').key}|{registry.file_sha256(file)}".encode())
        kept = CACHE / f"taught-{key.hexdigest()[:16]}.npy"
        if not kept.is_file():
            model = architecture.build()
            model.load_weights(file)
            asked = predictor_of(model, half=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(
                kept.with_suffix(".new.npy"), self.predict(asked, "train", architecture.input_size)
            )
            kept.with_suffix(".new.npy").replace(kept)
        return np.load(kept)

    def _seen(self, part: str) -> Prepared:
        if part not in self.seen:
            films = [self.films[i] for i in self.chosen[part]]
            size = self.architecture.input_size
            self.seen[part] = (
                self.pack.prepared(films, size) if self.pack else prepare(films, self.recipe.model)
            )
        return self.seen[part]


def _as_many(
    rows: Sequence[Row],
    chosen: Sequence[int],
    own: Sequence[int],
    stratum: str,
    rng: np.random.Generator,
) -> Array:
    """As many images of a stratum as ``own`` has, by chance from the other sources if they can."""
    count = sum(rows[i].stratum == stratum for i in own)
    mine = set(own)
    others = [i for i in chosen if rows[i].stratum == stratum and i not in mine]
    return rng.permutation(others)[:count]


def _scores(predict: Predict, seen: Prepared, architecture: Architecture, size: int) -> Array:
    """COVID scores of images as a classifier is shown them: float32 (image,)."""
    scores = []
    for start in range(0, len(seen), 32):
        numbers = range(start, min(start + 32, len(seen)))
        shown = [seen.shown(i) if architecture.masked else seen.images[i] for i in numbers]
        inputs = np.stack([_input_of(image, architecture, size) for image in shown])
        scores.append(predict(inputs[..., None])[:, 0])
    return np.concatenate(scores)


def _input_of(shown: Array, architecture: Architecture, size: int) -> Array:
    """An image of 0..255 as the network takes it: float32 (size, size)."""
    if len(shown) != size:
        shown = cv2.resize(shown, (size, size), interpolation=cv2.INTER_AREA)
    return shown.astype(np.float32) / (UNIT if architecture.masked else np.float32(1))


def _with_classes(model: keras.Model) -> keras.Model:
    """The model with its four classes' probabilities behind COVID's and the rest's."""
    logits = model.get_layer("class_logits").output
    classes = keras.layers.Softmax(name="classes")(logits)
    return keras.Model(
        model.input, keras.layers.Concatenate(name="scores")([model.output, classes])
    )


def _untrained_layers(model: keras.Model) -> set[str]:
    """The layers that no ImageNet weights are for."""
    names = [layer.name for layer in model.layers]
    return set(names[names.index("head_conv1") :])


def task_of(recipe: Recipe, data: Path | list[Path]) -> SegmentationTask | ClassificationTask:
    """The task that a recipe names."""
    if recipe.model != "unet":
        return ClassificationTask(recipe, data)
    if isinstance(data, list):
        raise ValueError("the U-Net needs whole images and their masks: give the data's folder.")
    return SegmentationTask(recipe, data)
