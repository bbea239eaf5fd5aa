"""What the gate's detector is fitted with and measured on: radiographs, and everything else.

    <root>/mednist/<kind>/*.jpeg      MedNIST (optional), the kinds of `MEDNIST`

A `Picture` of kind `RADIOGRAPH` is one that must pass; its group is the source. Copies are what
becomes of images on the way to a reader: cut, turned a little, brightened, resampled, compressed,
written on, with tubes and electrodes, mirrored (which shows as a chest all the same).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from pipeline.data.artefacts import KINDS, paint
from pipeline.data.database import Film, read_film
from pipeline.data.drawn_ct import draw_slices
from pipeline.data.drawn_pictures import cut_images, draw_pictures, turned_images
from pipeline.data.negatives import Picture, collect
from pipeline.data.phantom import EXAMPLES, draw_film, variations
from pipeline.data.split import films_of

RADIOGRAPH = "radiograph"
COPY = ", copy"  # ends the group of a radiograph's copy
SIZE = 256
MEDNIST = {
    "AbdomenCT": "CT",
    "ChestCT": "CT",
    "HeadCT": "CT",
    "BreastMRI": "MR",
    "Hand": "other X-ray",
}
Draw = np.random.Generator


def radiographs(data: Path, part: str, per_source: int, copies: float) -> Iterator[Picture]:
    """At most ``per_source`` images of each source, and copies of the share ``copies`` of them."""
    rng = np.random.default_rng((1, *part.encode()))
    for source, images in _by_source(data, part).items():
        for index in np.sort(rng.permutation(len(images))[:per_source]):
            pixels = _read(images[index])
            yield Picture(RADIOGRAPH, source, pixels)
            if rng.random() < copies:
                yield Picture(RADIOGRAPH, source + COPY, copy_radiograph(pixels, rng))


def spoilt(data: Path, part: str, per_source: int) -> Iterator[Picture]:
    """Images inverted, turned and cut: kind as in `pipeline.data.drawn_pictures`, group "made"."""
    rng = np.random.default_rng((2, *part.encode()))
    for images in _by_source(data, part).values():
        for index in rng.permutation(len(images))[:per_source]:
            pixels = _read(images[index])
            pixels = copy_radiograph(pixels, rng) if rng.random() < 0.3 else pixels
            for made in chain(turned_images(pixels), cut_images(pixels)):
                yield Picture(made.kind, "made", cv2.resize(made.pixels, (SIZE, SIZE)))


def phantoms(count: int = 60, seed: int = 7) -> Iterator[Picture]:
    """Synthetic radiographs that must pass: the app's examples and others."""
    rng = np.random.default_rng((3, seed))
    upright = [phantom for phantom in EXAMPLES.values() if not phantom.inverted]
    for phantom in (*upright, *variations(count, seed)):
        pixels = draw_film(phantom, 384)[0].astype(np.float32)
        pixels = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        yield Picture(RADIOGRAPH, "phantom", pixels)
        if rng.random() < 0.3:
            yield Picture(RADIOGRAPH, "phantom" + COPY, copy_radiograph(pixels, rng))


def mednist(data: Path, per_kind: int) -> Iterator[Picture]:
    """MedNIST as it is, and its CT in windows in which lungs show; group "MedNIST NAME"."""
    rng = np.random.default_rng(4)
    for name, kind in MEDNIST.items():
        for path in sorted((data / "mednist" / name).glob("*"))[:per_kind]:
            pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32)
            yield Picture(kind, f"MedNIST {name}", pixels)
            if name in ("AbdomenCT", "ChestCT"):
                shown = copy_picture(_lung_window(pixels, rng), rng)
                yield Picture(kind, f"MedNIST {name}, lung window", shown)


def packages(folder: Path) -> Iterator[Picture]:
    """Every picture of the public packages, and a copy of every other one."""
    rng = np.random.default_rng(5)
    for index, picture in enumerate(collect(folder)[0]):
        yield Picture(picture.kind, picture.group, picture.pixels)
        if index % 2:
            yield Picture(picture.kind, picture.group, copy_picture(picture.pixels, rng))


def drawn_slices(count: int) -> Iterator[Picture]:
    """Slices of `pipeline.data.drawn_ct`, ``count`` each way."""
    for picture in draw_slices(count, windows=("lung", "lung", "wide", "soft tissue")):
        yield Picture(picture.kind, picture.group, cv2.resize(picture.pixels, (SIZE, SIZE)))


def drawn_pictures() -> Iterator[Picture]:
    """Those of `pipeline.data.drawn_pictures`, and as many of another seed."""
    yield from draw_pictures()
    yield from draw_pictures(seed=1)


def example_sets(data: Path, folder: Path) -> dict[str, Callable[[], Iterator[Picture]]]:
    """Each set of examples by name; a name that ends on a part of the split holds that part's."""
    return {
        "phantoms": phantoms,
        "drawn CT": partial(drawn_slices, 120),
        "drawn pictures": drawn_pictures,
        "mednist": partial(mednist, data, 60),
        "packages": partial(packages, folder),
        "spoilt train": partial(spoilt, data, "train", 4),
        "spoilt test": partial(spoilt, data, "test", 2),
        "radiographs train": partial(radiographs, data, "train", 70, 0.4),
        "radiographs validation": partial(radiographs, data, "validation", 100, 0.15),
        "radiographs test": partial(radiographs, data, "test", 150, 0.1),
    }


def deal(pictures: Sequence[Picture], seed: int = 20) -> tuple[list[Picture], list[Picture]]:
    """Whole groups of each kind, in seeded order: at most half of the pictures, and the rest."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for picture in pictures:
        sizes[picture.kind][picture.group] += 1
    chosen = set()
    for kind in sorted(sizes):
        groups = sorted(sizes[kind])
        np.random.default_rng((seed, *kind.encode())).shuffle(groups)
        left = sizes[kind].total() // 2
        for group in groups:
            if sizes[kind][group] <= left:
                left -= sizes[kind][group]
                chosen.add((kind, group))
    halves: tuple[list[Picture], list[Picture]] = [], []
    for picture in pictures:
        halves[(picture.kind, picture.group) not in chosen].append(picture)
    return halves


def copy_radiograph(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """A copy that must pass as the original does, float32 (256, 256) in 0..255."""
    changed = pixels[:, ::-1] if rng.random() < 0.3 else pixels
    if rng.random() < 0.6:
        changed = 255 * (changed / 255) ** np.exp(rng.normal(0, 0.3)) * rng.uniform(0.75, 1)
    if rng.random() < 0.5:
        changed = _crop(changed, rng, 0.07)
    if rng.random() < 0.4:
        changed = _turn(changed, rng)
    if rng.random() < 0.3:
        rows, columns = (int(side * rng.uniform(0, 0.15)) for side in changed.shape)
        edges = rows, rows, columns, columns
        changed = cv2.copyMakeBorder(
            np.ascontiguousarray(changed), *edges, cv2.BORDER_CONSTANT, value=0
        )
    if rng.random() < 0.6:
        changed = _resample(changed, rng)
    changed = np.ascontiguousarray(changed, np.float32).clip(0, 255)
    for kind in KINDS:
        if rng.random() < 0.25:
            row, column, size = rng.uniform((0.05, 0.1, 0.03), (0.9, 0.9, 0.1))
            text = str(rng.choice(["R", "L", "PORTABLE", "AP ERECT 12:30"]))
            changed = paint(changed, kind, row, column, size, text)
    if rng.random() < 0.3:
        changed = changed + rng.normal(0, rng.uniform(2, 10), changed.shape)
    return _compress(cv2.resize(np.float32(changed), (SIZE, SIZE)), rng)


def copy_picture(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """A copy of a picture that is none of a chest, float32 (256, 256) in 0..255."""
    changed = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    if rng.random() < 0.5:
        low, high = np.percentile(changed, (rng.uniform(0, 5), rng.uniform(90, 100)))
        changed = 255 * ((changed - low) / max(high - low, 1)).clip(0, 1)
    if rng.random() < 0.5:
        changed = 255 * (changed / 255).clip(0, 1) ** np.exp(rng.normal(0, 0.5))
    if rng.random() < 0.6:
        changed = _crop(changed, rng, 0.18)
    return _compress(cv2.resize(_resample(changed, rng), (SIZE, SIZE)), rng)


def _by_source(data: Path, part: str) -> dict[str, list[Film]]:
    found = defaultdict(list)
    for image in films_of(data, part, siim=True):
        found[image.source].append(image)
    return dict(sorted(found.items()))


def _read(image: Film) -> np.ndarray:
    return read_film(image.path, SIZE).astype(np.float32)


def _lung_window(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """A slice whose commonest grey is air, in a window from air to about soft tissue."""
    air = np.bincount(pixels.astype(int).ravel(), minlength=256).argmax()
    shown = (pixels - air - rng.uniform(-4, 4)) / rng.uniform(14, 60)
    return (255 * shown.clip(0, 1)).astype(np.float32)


def _crop(pixels: np.ndarray, rng: Draw, most: float) -> np.ndarray:
    """Up to the share ``most`` off each side."""
    rows, columns = pixels.shape
    top, bottom, left, right = rng.uniform(0, most, 4)
    return pixels[
        int(top * rows) : rows - int(bottom * rows),
        int(left * columns) : columns - int(right * columns),
    ]


def _turn(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """By a few degrees, and a little nearer or farther."""
    rows, columns = pixels.shape
    turn = cv2.getRotationMatrix2D(
        (columns / 2, rows / 2), rng.normal(0, 5), rng.uniform(0.9, 1.08)
    )
    return cv2.warpAffine(np.ascontiguousarray(pixels, np.float32), turn, (columns, rows))


def _resample(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    """To a size of 64 to 600 rows and another proportion."""
    rows = int(np.exp(rng.uniform(np.log(64), np.log(600))))
    columns = max(48, int(rows * np.exp(rng.normal(0, 0.1))))
    way = cv2.INTER_AREA if rows < len(pixels) else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(pixels, np.float32), (columns, rows), interpolation=way)


def _compress(pixels: np.ndarray, rng: Draw) -> np.ndarray:
    levels = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        levels = cv2.imdecode(cv2.imencode(".jpg", levels, quality)[1], cv2.IMREAD_GRAYSCALE)
    return levels.astype(np.float32)
