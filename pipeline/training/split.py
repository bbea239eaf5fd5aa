"""Group near-duplicate films, then split the groups 75/15/10, seeded and stratified by class."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.training.database import Film, load_films, read_database

PARTS = ("train", "validation", "test")
SHARES = (0.75, 0.15, 0.10)
SEED = 20


def group_near_duplicates(films: np.ndarray, threshold: float = 0.97) -> np.ndarray:
    """Number the groups of films that show (almost) the same picture.

    ``films``: uint8 (film, rows, columns, 1). Two films are near-duplicates when their equalised
    32x32 reductions correlate above ``threshold``; groups are the connected components.
    Returns int64 (film,), the group of each film.
    """
    reduced = np.stack(
        [
            cv2.resize(cv2.equalizeHist(f[..., 0]), (32, 32), interpolation=cv2.INTER_AREA)
            for f in films
        ]
    )
    vectors = reduced.reshape(len(films), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    parent = np.arange(len(films))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for start in range(0, len(films), 1024):
        close = vectors[start : start + 1024] @ vectors.T > threshold
        for i, j in zip(*np.nonzero(close), strict=True):
            parent[root(start + i)] = root(j)
    return np.unique([root(i) for i in range(len(films))], return_inverse=True)[1]


def split_groups(
    groups: Sequence[int], strata: Sequence[str], shares=SHARES, seed: int = SEED
) -> np.ndarray:
    """Deal whole groups into the parts, each stratum as near to ``shares`` as groups allow.

    Returns int64 (film,): 0 train, 1 validation, 2 test.
    """
    members = defaultdict(list)
    for film, group in enumerate(groups):
        members[int(group)].append(film)
    order = sorted(members)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))  # stable: big groups first, then by chance
    filled = defaultdict(lambda: np.zeros(len(shares)))
    parts = np.zeros(len(groups), dtype=np.int64)
    for group in order:
        stratum = strata[members[group][0]]
        part = int(np.argmin((filled[stratum] + len(members[group])) / np.asarray(shares)))
        filled[stratum][part] += len(members[group])
        parts[members[group]] = part
    return parts


def near_duplicates_of(films: Sequence[Film]) -> np.ndarray:
    """The groups that the split keeps together: int64 (film,)."""
    return group_near_duplicates(load_films(films, 64))


def split_films(films: Sequence[Film]) -> dict[str, list[Film]]:
    """The project's one split, used for every model: what one model tests on, none trained on."""
    groups = near_duplicates_of(films)
    parts = split_groups(groups, [film.stratum for film in films])
    return {
        name: [f for f, p in zip(films, parts, strict=True) if p == i]
        for i, name in enumerate(PARTS)
    }


def films_of(data: Path, part: str = "all") -> list[Film]:
    """The films of a folder: "all" of them, or one of `PARTS` of the project's split."""
    if part not in ("all", *PARTS):
        raise ValueError(f"part is 'all' or one of {PARTS}, received {part!r}.")
    films = read_database(data)
    return films if part == "all" else split_films(films)[part]
