"""Training batches, each a pure function of the seed and its number: a run can stop anywhere."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
from torch.utils.data import Dataset

from pipeline.training.augment import vary_pair

Array = np.ndarray


class Batches(Dataset):
    """Batches that hold the strata in fixed shares, whatever the data set's own are.

    ``strata``: one name per image. ``shares``: how many images of each stratum a batch holds.
    Every image of a stratum is shown once before any is shown again. ``draw(image, rng)`` gives
    what the network is shown of the image of that index, float32. ``targets``: float32 (image,
    columns). Item ``i`` is batch ``i`` of the run: inputs (batch, rows, columns, 1) and targets.
    """

    def __init__(
        self,
        strata: Sequence[str],
        shares: Mapping[str, int],
        draw: Callable[[int, np.random.Generator], Array],
        targets: Array,
        seed: int = 0,
    ):
        named = np.asarray(strata)
        self.draw, self.targets, self.seed = draw, targets, seed
        self.members = {name: np.flatnonzero(named == name) for name in shares}
        self.shares = dict(shares)
        for name, members in self.members.items():
            if not len(members):
                raise ValueError(f"no image belongs to {name!r}: a batch cannot be balanced.")

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        chosen = [
            self._member(name, index * count + i)
            for name, count in self.shares.items()
            for i in range(count)
        ]
        rng = np.random.default_rng((self.seed, index))
        images = np.stack([self.draw(image, rng) for image in chosen])[..., None]
        return images, self.targets[chosen]

    def _member(self, name: str, position: int) -> int:
        members = self.members[name]
        turn, place = divmod(position, len(members))
        return int(members[_order(self.seed, name, turn, len(members))[place]])


@lru_cache(maxsize=64)
def _order(seed: int, name: str, turn: int, count: int) -> Array:
    return np.random.default_rng((seed, turn, *name.encode())).permutation(count)


class Pairs(Dataset):
    """Augmented image and lung mask pairs for the U-Net, which move together.

    ``images``, ``masks``: uint8 (image, rows, columns), mask 255 inside a lung field. Item ``i``
    is batch ``i`` of the run: float32 images in 0..1, equalised as in the graph, and float32 masks
    of 0 and 1. ``share``: how many of the images are changed at all.
    """

    def __init__(self, images: Array, masks: Array, batch: int, seed: int = 0, share: float = 1.0):
        self.images, self.masks, self.batch = images, masks, batch
        self.seed, self.share = seed, share

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        rng = np.random.default_rng((self.seed, index))
        pairs = []
        for position in range(index * self.batch, (index + 1) * self.batch):
            turn, place = divmod(position, len(self.images))
            pairs.append(self._pair(_order(self.seed, "", turn, len(self.images))[place], rng))
        images, masks = (np.stack(planes)[..., None] for planes in zip(*pairs, strict=True))
        return images.astype(np.float32) / np.float32(255), (masks > 127).astype(np.float32)

    def _pair(self, index: int, rng: np.random.Generator) -> tuple[Array, Array]:
        image, mask = self.images[index], self.masks[index]
        if rng.random() < self.share:
            image, mask = vary_pair(image, mask, rng)
        return cv2.equalizeHist(image), mask
