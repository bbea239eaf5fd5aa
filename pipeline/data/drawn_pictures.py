"""Pictures drawn by seed that are no chest radiograph, and images turned, inverted or cut."""

import string
from collections.abc import Iterator

import cv2
import numpy as np

from pipeline.data.negatives import Picture

SIZE = 256
PER_GROUP = 6


def draw_pictures(seed: int = 0) -> list[Picture]:
    """`PER_GROUP` pictures of every group of `GROUPS`, float32 (256, 256) in 0..255."""
    pictures = []
    for number, ((kind, group), draw) in enumerate(GROUPS.items()):
        rng = np.random.default_rng((seed, number))
        drawn = (np.asarray(draw(rng), np.float32).clip(0, 255) for _ in range(PER_GROUP))
        pictures += [Picture(kind, group, np.rint(p)) for p in drawn]
    return pictures


def turned_images(image: np.ndarray) -> Iterator[Picture]:
    """One image, float32 (rows, columns), as a reader may drop it by mistake, with the right name.

    ``inverted``: the negative. ``turned_left``: its top points to the left.
    """
    yield Picture("inverted", "films", 255 - image, "inverted")
    for turns, code in ((1, "turned_left"), (3, "turned_right"), (2, "upside_down")):
        yield Picture(code, "films", np.ascontiguousarray(np.rot90(image, turns)), code)


def cut_images(image: np.ndarray) -> Iterator[Picture]:
    """One image, cut so that no two whole lungs are left."""
    rows, columns = (side // 2 for side in image.shape)
    for kind, part in (
        ("one lung", image[:, :columns]),
        ("one lung", image[:, columns:]),
        ("upper half", image[:rows]),
        ("lower half", image[rows:]),
    ):
        yield Picture(kind, "films", np.ascontiguousarray(part))


def _uniform(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 255, (SIZE, SIZE))


def _grains(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(rng.uniform(60, 190), rng.uniform(5, 60), (SIZE, SIZE))


def _specks(rng: np.random.Generator) -> np.ndarray:
    return rng.choice([0, 128, 255], (SIZE, SIZE), p=[0.1, 0.8, 0.1])


def _photons(rng: np.random.Generator) -> np.ndarray:
    return 25 * rng.poisson(rng.uniform(1, 8), (SIZE, SIZE))


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """Noise with as much power in every octave, as landscapes and tissues have."""
    total = np.zeros((SIZE, SIZE))
    for octave in range(1, 8):
        coarse = rng.normal(0, 1, (2**octave, 2**octave)).astype(np.float32)
        total += cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) / octave
    return 128 + 50 * total / total.std()


def _blobs(rng: np.random.Generator) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)), (0, 0), rng.uniform(4, 30))
    return 128 + 60 * noise / noise.std()


def _one_grey(rng: np.random.Generator) -> np.ndarray:
    return np.full((SIZE, SIZE), rng.choice([0, 255, rng.uniform(0, 255)]))


def _faint_grains(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(rng.uniform(0, 255), 2, (SIZE, SIZE))


def _ramp(rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    return 128 + 90 * (rows * np.sin(angle) + columns * np.cos(angle))


def _vignette(rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    distance = np.hypot(rows - rng.normal(0, 0.2), columns - rng.normal(0, 0.2))
    return 128 + rng.choice([-1, 1]) * (180 * distance - 110)


def _board(rng: np.random.Generator) -> np.ndarray:
    cells = int(rng.integers(3, 20))
    board = np.indices((cells, cells)).sum(0) % 2 * 255
    return cv2.resize(board.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)


def _discs(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((SIZE, SIZE), rng.uniform(0, 255))
    for _ in range(rng.integers(1, 12)):
        centre = tuple(int(v) for v in rng.integers(0, SIZE, 2))
        radius = int(rng.integers(8, 70))
        cv2.circle(picture, centre, radius, float(rng.uniform(0, 255)), -1)
    return picture


def _two_ellipses(rng: np.random.Generator) -> np.ndarray:
    """A pair of dark ellipses side by side: the least that a lung finder may fall for."""
    picture = np.full((SIZE, SIZE), rng.uniform(120, 220))
    half = int(rng.integers(20, 45)), int(rng.integers(50, 95))
    for column in (75, 181):
        cv2.ellipse(picture, (column, 128), half, 0, 0, 360, float(rng.uniform(10, 80)), -1)
    return cv2.GaussianBlur(picture, (0, 0), 3) + rng.normal(0, 4, picture.shape)


def _page(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((SIZE, SIZE), 245, np.uint8)
    letters = np.array(list(string.ascii_letters + "     "))
    scale = rng.uniform(0.3, 0.6)
    for row in range(20, SIZE - 8, round(40 * scale)):
        words = "".join(rng.choice(letters, rng.integers(15, 60)))
        cv2.putText(picture, words, (12, row), cv2.FONT_HERSHEY_COMPLEX, scale, 20, 1, cv2.LINE_AA)
    return picture


def _plot(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((SIZE, SIZE), 255.0)
    cv2.rectangle(picture, (25, 15), (240, 230), 60, 1)
    columns = np.linspace(25, 240, 60)
    for _ in range(rng.integers(1, 5)):
        rows = 120 + np.cumsum(rng.normal(0, 6, len(columns)))
        line = np.rint(np.stack([columns, rows.clip(15, 230)], 1)).astype(np.int32)
        cv2.polylines(picture, [line], False, float(rng.uniform(0, 150)), 2, cv2.LINE_AA)
    for column in range(25, 240, 18):
        height = int(rng.integers(5, 80))
        cv2.rectangle(picture, (column, 230 - height), (column + 9, 230), 170, -1)
    return picture


GROUPS = {
    ("noise", "uniform"): _uniform,
    ("noise", "grains"): _grains,
    ("noise", "specks"): _specks,
    ("noise", "photons"): _photons,
    ("noise", "clouds"): _clouds,
    ("noise", "blobs"): _blobs,
    ("blank, gradient", "one grey"): _one_grey,
    ("blank, gradient", "faint grains"): _faint_grains,
    ("blank, gradient", "ramp"): _ramp,
    ("blank, gradient", "vignette"): _vignette,
    ("text, drawing", "chessboard"): _board,
    ("text, drawing", "discs"): _discs,
    ("text, drawing", "two ellipses"): _two_ellipses,
    ("text, drawing", "page"): _page,
    ("text, drawing", "plot"): _plot,
}
