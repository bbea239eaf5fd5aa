"""Batches for training: balanced films for the classifiers, augmented pairs for the U-Net."""

from collections.abc import Callable, Mapping, Sequence

import cv2
import keras
import numpy as np

SHARPNESS_CHANGED = 0.5  # share of films; it differs between sources and must not be a clue
Jitter = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class BalancedBatches(keras.utils.PyDataset):
    """Batches that hold the groups in fixed proportions, whatever the data set's own are.

    ``films``: uint8 (film, rows, columns, 1). ``labels``: one name per film. ``groups`` maps a
    target class to the labels merged into it, e.g. ``{"COVID": ["COVID"], "other": ["Normal",
    "Lung_Opacity", "Viral Pneumonia"]}``: every batch is then one half COVID and one half other,
    and the other half is equal thirds. ``batch_size`` must let every share be a whole number.

    An epoch ends once its largest share has been shown whole; the films of smaller shares come
    again, each time in a new random order, so that all are shown equally often (to within one).

    Item ``i``: float32 films in 0..``top``, changed by each of ``jitters`` (`jitter_film`,
    `shift_film`), and float32 targets (batch, groups), one-hot but for ``smoothing``, the share of
    certainty that all columns get alike. ``classes`` adds one column per label named there,
    smoothed likewise. ``teacher``, float (film, groups), takes the place of ``teacher_share`` of
    each target. ``mixup``: films and targets are blended in pairs, by shares from Beta(mixup,
    mixup). The same ``(seed, epoch)`` gives the same batches.
    """

    def __init__(
        self,
        films: np.ndarray,
        labels: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        batch_size: int,
        seed: int = 0,
        jitters: Sequence[Jitter] = (),
        top: float = 1.0,
        smoothing: float = 0.0,
        classes: Sequence[str] = (),
        teacher: np.ndarray | None = None,
        teacher_share: float = 0.5,
        mixup: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.films, self.groups, self.batch_size = films, dict(groups), batch_size
        self.seed, self.jitters, self.mixup = seed, jitters, mixup
        self.scale = np.float32(255 / top)
        labels = np.asarray(labels)
        self.targets = _smoothed(_group_targets(labels, self.groups), smoothing)
        if teacher is not None:
            self.targets = (1 - teacher_share) * self.targets + teacher_share * teacher
        if classes:
            own = _smoothed(_group_targets(labels, {name: (name,) for name in classes}), smoothing)
            self.targets = np.concatenate([self.targets, own], axis=1)
        self.targets = self.targets.astype(np.float32)
        self.shares = []  # (films of a label, how many of them in a batch)
        for merged in self.groups.values():
            count, rest = divmod(batch_size, len(self.groups) * len(merged))
            if rest:
                raise ValueError(
                    f"batch_size {batch_size} cannot be shared equally by {len(self.groups)} "
                    f"classes of which one merges {len(merged)} labels: take a multiple of "
                    f"{len(self.groups) * len(merged)}."
                )
            for label in merged:
                members = np.flatnonzero(labels == label)
                if not len(members):
                    raise ValueError(f"no film is labelled {label!r}: a batch cannot be balanced.")
                self.shares.append((members, count))
        self.on_epoch(0)

    def on_epoch(self, epoch: int) -> None:
        """Draw the order of one epoch."""
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        self.order = []
        for members, count in self.shares:
            needed = len(self) * count
            rounds = [rng.permutation(members) for _ in range(-(-needed // len(members)))]
            self.order.append(np.concatenate(rounds)[:needed].reshape(len(self), count))

    def __len__(self) -> int:
        return max(-(-len(members) // count) for members, count in self.shares)

    def __getitem__(self, index: int):
        chosen = np.concatenate([order[index] for order in self.order])
        rng = np.random.default_rng((self.seed, self.epoch, index))
        films = self.films[chosen, ..., 0]
        for jitter in self.jitters:
            films = np.stack([jitter(film, rng) for film in films])
        films, targets = films[..., None].astype(np.float32) / self.scale, self.targets[chosen]
        if self.mixup:
            other = rng.permutation(len(films))
            share = rng.beta(self.mixup, self.mixup, len(films)).astype(np.float32)[:, None]
            films = share[..., None, None] * films + (1 - share[..., None, None]) * films[other]
            targets = share * targets + (1 - share) * targets[other]
        return films, targets


def _group_targets(labels: np.ndarray, groups: Mapping[str, Sequence[str]]) -> np.ndarray:
    return np.stack([np.isin(labels, list(merged)) for merged in groups.values()], axis=1)


def _smoothed(targets: np.ndarray, share: float) -> np.ndarray:
    return targets * (1 - share) + share / targets.shape[1]


class SegmentationBatches(keras.utils.PyDataset):
    """Augmented film and mask pairs; film and mask move together, which no Keras layer does.

    ``films``, ``masks``: uint8 (film, rows, columns, 1), mask 255 inside a lung field. Item ``i``:
    float32 films in 0..1, equalised like the graph does it when ``equalise``, and float32 masks
    of 0 and 1. ``share``: how many of the films are changed at all, the rest come as they are.
    The same ``(seed, epoch)`` gives the same batches.
    """

    def __init__(
        self, films, masks, batch_size: int, equalise: bool, seed: int = 0, share=1.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.films, self.masks, self.batch_size = films, masks, batch_size
        self.equalise, self.seed, self.share = equalise, seed, share
        self.on_epoch(0)

    def on_epoch(self, epoch: int) -> None:
        """Draw the order of one epoch."""
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.films))

    def __len__(self) -> int:
        return len(self.films) // self.batch_size

    def __getitem__(self, index: int):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        pairs = [self._pair(i, rng) for i in chosen]
        films, masks = (np.stack(planes)[..., None] for planes in zip(*pairs, strict=True))
        return films.astype(np.float32) / np.float32(255), (masks > 127).astype(np.float32)

    def _pair(self, index: int, rng: np.random.Generator):
        film, mask = self.films[index, ..., 0], self.masks[index, ..., 0]
        if rng.random() < self.share:
            film, mask = augment_pair(film, mask, rng)
        return cv2.equalizeHist(film) if self.equalise else film, mask


class ByEpoch:
    """The batches above as a data set whose keys are (epoch, index)."""

    def __init__(self, batches: BalancedBatches | SegmentationBatches):
        self.batches = batches

    def __getitem__(self, key: tuple[int, int]):
        epoch, index = key
        if self.batches.epoch != epoch:
            self.batches.on_epoch(epoch)
        return self.batches[index]


def jitter_film(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Zoom, move, blur and darken a masked film a little, uint8 (rows, columns) in and out.

    Sharpness and contrast differ between the database's sources; they must not be a clue.
    """
    rows, columns = film.shape
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), 0, np.exp(rng.normal(0, 0.06)))
    turn[:, 2] += rng.normal(0, 0.025, 2) * (columns, rows)
    if rng.random() < 0.5:
        film = cv2.warpAffine(film, turn, (columns, rows), flags=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        film = cv2.GaussianBlur(film, (0, 0), rng.uniform(0.3, 1.0) * rows / 256)
    gamma = np.exp(rng.normal(0, 0.15))
    table = 255 * (np.arange(256) / 255) ** gamma
    return cv2.LUT(film, table.astype(np.uint8))


def shift_film(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change a masked film without resampling it: uint8 (rows, columns) in and out.

    Moved by whole pixels, up to a sixteenth of its side; up to three patches blacked out, so that
    no single spot decides (Zhong et al. 2020, random erasing); half of them blurred, sharpened,
    resampled or compressed; a little darker or brighter.
    """
    rows, columns = film.shape
    if rng.random() < SHARPNESS_CHANGED:
        film = _change_sharpness(film, rng)
    reach = max(1, rows // 16)
    down, right = rng.integers(-reach, reach + 1, 2)
    moved = np.zeros_like(film)
    moved[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)] = film[
        max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)
    ]
    for _ in range(rng.integers(0, 4)):
        high, wide = rng.integers(rows // 16, rows // 5 + 1, 2)
        top, left = rng.integers(0, rows - high + 1), rng.integers(0, columns - wide + 1)
        moved[top : top + high, left : left + wide] = 0
    table = 255 * (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.15))
    return cv2.LUT(moved, table.astype(np.uint8))


def _change_sharpness(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur or sharpen, shrink and enlarge, or compress; the outside of the lungs stays 0."""
    way = rng.integers(3)
    if way == 0:
        exact = film.astype(np.float32)
        blurred = cv2.GaussianBlur(exact, (0, 0), rng.uniform(0.4, 1.0) * film.shape[0] / 256)
        changed = np.rint(blurred + rng.uniform(0, 2) * (exact - blurred)).clip(0, 255)
    elif way == 1:
        scale = rng.uniform(0.6, 1)
        small = cv2.resize(film, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        changed = cv2.resize(small, film.shape[::-1], interpolation=cv2.INTER_CUBIC)
    else:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))]
        changed = cv2.imdecode(cv2.imencode(".jpg", film, quality)[1], cv2.IMREAD_GRAYSCALE)
    return np.where(film > 0, changed, 0).astype(np.uint8)


def augment_pair(film: np.ndarray, mask: np.ndarray, rng: np.random.Generator):
    """Move film and mask alike, then change the film as other X-ray machines would.

    Both uint8 (rows, columns) in and out.
    """
    rows, columns = film.shape
    turn = cv2.getRotationMatrix2D(
        (columns / 2, rows / 2), rng.normal(0, 6), np.exp(rng.normal(-0.03, 0.09))
    )
    turn[:, 2] += rng.normal(0, 0.03, 2) * (columns, rows)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    film = cv2.warpAffine(film, turn, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=border)
    mask = cv2.warpAffine(mask, turn, (columns, rows), flags=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        film, mask = film[:, ::-1], mask[:, ::-1]
    return _change_exposure(np.ascontiguousarray(film), rng), mask


def _change_exposure(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = film.shape
    light = (np.arange(256, dtype=np.float32) / 255) ** np.float32(np.exp(rng.normal(0, 0.3)))
    light = light[film]
    slope_r, slope_c = rng.normal(0, 0.12, 2)  # uneven exposure (heel effect, rotated patient)
    slope = 1 + slope_r * np.linspace(-1, 1, rows)[:, None] + slope_c * np.linspace(-1, 1, columns)
    light = light * slope.astype(np.float32)
    if rng.random() < 0.3:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.2) * rows / 256)
    if rng.random() < 0.5:
        light = light + rng.normal(0, rng.uniform(0, 0.04), film.shape).astype(np.float32)
    low, high = rng.uniform(-0.1, 0.1), rng.uniform(0.85, 1.2)  # clipped blacks and whites
    return (np.clip((light - low) / (high - low), 0, 1) * 255).astype(np.uint8)
