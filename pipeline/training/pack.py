"""Images and lung masks in one small file, to train on a machine that does not have the data.

    python -m pipeline.training.pack --data DIR --out FILE [FILE ...]
    python -m pipeline train xception --data FILE [FILE ...]

Images are kept as WebP, masks as bits. Some 5 kB an image: what a classifier learns of them is the
same, what it scores is not to the last digit, so evidence is measured on the data itself.
"""

import argparse
import hashlib
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np

from pipeline.data.database import Film
from pipeline.data.split import films_of, row_of
from pipeline.layers.portable_resize import PortableResize
from pipeline.training.prepared import Prepared, prepare

SIDE = 256  # of the images that are kept; a graph with another size has a mask of that size
SIZES = {"light": 256, "xception": 224}
QUALITY = {"train": 85, "validation": 95}
UNCALLED = ("siim indeterminate", "covid_qu_ex")  # what only a teacher can give a target


class Pack:
    """Images of one or more files that `write` made.

    ``films``: one a packed image, of which only the name is known; its line in the split tells the
    rest. Raises ValueError where a file is no such pack.
    """

    def __init__(self, files: Sequence[Path]):
        self.films: list[Film] = []
        self._images: list[bytes] = []
        self._masks: list[tuple[bytes, ...]] = []
        made_of = hashlib.sha256()
        for file in files:
            stored = np.load(file)
            if "names" not in stored:
                raise ValueError(f"{file} is no pack of training images: write one anew.")
            self.films += [Film(Path(name), None, "") for name in stored["names"].tolist()]
            self._images += _cut(stored["images"], stored["image_lengths"])
            masks = [_cut(stored[f"masks{s}"], stored[f"lengths{s}"]) for s in SIZES.values()]
            self._masks += list(zip(*masks, strict=True))
            made_of.update(stored["names"].tobytes())
        self.key = made_of.hexdigest()[:16]
        self._places = {film.name: place for place, film in enumerate(self.films)}

    def prepared(self, films: Sequence[Film], size: int) -> Prepared:
        """What `pipeline.training.prepared.prepare` gives of these images, but for compression."""
        column = list(SIZES.values()).index(size)
        places = [self._places[film.name] for film in films]
        images, masks = [], []
        with ThreadPoolExecutor() as threads:
            for start in range(0, len(places), 256):
                some = places[start : start + 256]
                decoded = threads.map(lambda p: cv2.imdecode(_bytes(self._images[p]), 0), some)
                images.append(_resized(np.stack(list(decoded)), size))
                bits = [_bytes(zlib.decompress(self._masks[p][column])) for p in some]
                masks.append(np.unpackbits(np.stack(bits), axis=1).reshape(len(some), size, size))
        key = hashlib.sha256(f"{self.key}|{size}|{places}".encode()).hexdigest()[:16]
        return Prepared(np.concatenate(images), np.concatenate(masks), key)


def write(data: Path, files: Sequence[Path]) -> None:
    """Pack the validation images, then those to train on, dealt out over the files."""
    films, groups = films_of(data, siim=True), []
    for part, called in (("validation", True), ("train", True), ("train", False)):
        rows = {film: row_of(film) for film in films}
        own = [f for f, row in rows.items() if row.part == part and bool(row.target) == called]
        groups.append([f for f in own if called or rows[f].stratum in UNCALLED])
    films = [film for group in groups for film in group]
    made, images = {}, np.empty(0)
    for model, size in SIZES.items():
        prepared = [prepare(group, model) for group in groups]
        made[size] = np.concatenate([one.masks for one in prepared])
        if size == SIDE:
            images = np.concatenate([one.images for one in prepared])
    for number, file in enumerate(files):
        chosen = range(number, len(films), len(files))
        packed = [_encoded(images[i], QUALITY[row_of(films[i]).part]) for i in chosen]
        arrays = {
            "names": np.array([films[i].name for i in chosen]),
            "images": _bytes(b"".join(packed)),
            "image_lengths": np.array([len(p) for p in packed]),
        }
        for size, masks in made.items():
            bits = [zlib.compress(np.packbits(masks[i]).tobytes(), 9) for i in chosen]
            arrays[f"masks{size}"] = _bytes(b"".join(bits))
            arrays[f"lengths{size}"] = np.array([len(b) for b in bits])
        with file.open("wb") as out:
            np.savez(out, allow_pickle=False, **arrays)


def _encoded(image: np.ndarray, quality: int) -> bytes:
    done, packed = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV was built without WebP: install opencv-python-headless.")
    return packed.tobytes()


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (image, rows, columns) as the graph's own resize makes them."""
    if images.shape[1] == size:
        return images
    resized = PortableResize(size)(images[..., None].astype(np.float32))
    return np.rint(keras.ops.convert_to_numpy(resized)[..., 0]).astype(np.uint8)


def _bytes(packed: bytes) -> np.ndarray:
    return np.frombuffer(packed, np.uint8)


def _cut(packed: np.ndarray, lengths: np.ndarray) -> list[bytes]:
    ends = np.cumsum(lengths)
    return [packed[e - n : e].tobytes() for e, n in zip(ends, lengths, strict=True)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, nargs="+", metavar="FILE")
    options = parser.parse_args()
    write(options.data, options.out)
