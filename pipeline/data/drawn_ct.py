"""Slices of a chest as a CT shows them, drawn by seed: what a lung finder falls for most easily.

Public packages hold hardly a CT slice of the lungs, and such slices have what a radiograph has: a
pair of dark lungs in a bright chest. Values are Hounsfield units until the window is applied.
Good enough to tell a slice from a projection, and for nothing clinical.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.data.negatives import Picture
from pipeline.data.phantom import Phantom, lung_fields

SIZE = 320
AIR, LUNG, FAT, MUSCLE, BONE = -1000.0, -860.0, -90.0, 45.0, 450.0
# Level and width of the windows that slices of a chest are looked at with.
WINDOWS = {"lung": (-600.0, 1500.0), "wide": (-250.0, 2000.0), "soft tissue": (40.0, 420.0)}
Rng = np.random.Generator


def draw_slices(
    count: int, seed: int = 0, windows: Sequence[str] = ("lung", "lung", "wide")
) -> list[Picture]:
    """``count`` axial and as many coronal slices, float32 (rows, columns) in 0..255.

    ``windows``: of `WINDOWS`, one of which each slice is shown in.
    """
    pictures = []
    for number, (group, draw) in enumerate((("axial", _axial), ("coronal", _coronal))):
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            shown = _show(draw(rng), WINDOWS[rng.choice(windows)], rng)
            pictures.append(Picture("drawn CT", group, shown))
    return pictures


def _show(hounsfield: np.ndarray, window: tuple[float, float], rng: Rng) -> np.ndarray:
    """Reconstruction noise, the window with some play, and the cropping that pictures have."""
    grain = cv2.GaussianBlur(rng.normal(0, 1, hounsfield.shape), (0, 0), rng.uniform(0.4, 1.5))
    slice_ = cv2.GaussianBlur(hounsfield, (0, 0), rng.uniform(0.3, 1.6))
    slice_ += rng.uniform(5, 60) * grain / grain.std()
    level, width = window[0] + rng.uniform(-150, 150), window[1] * rng.uniform(0.7, 1.3)
    light = ((slice_ - level) / width + 0.5).clip(0, 1)
    if rng.random() < 0.5:  # cut close to the body
        rows, columns = (np.flatnonzero((hounsfield > -300).any(axis)) for axis in (1, 0))
        light = light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if rng.random() < 0.5:
        light = light[:, ::-1]
    light = _warp(np.ascontiguousarray(light), rng)
    sides = [round(side * rng.uniform(0.6, 1.3)) for side in light.shape[::-1]]
    light = cv2.resize(light, sides, interpolation=cv2.INTER_AREA)
    return np.rint(255 * light).astype(np.float32)


def _warp(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Bend smoothly: no two chests have one outline."""
    shape = picture.shape
    where = np.stack(np.meshgrid(*map(np.arange, shape[::-1])), -1).astype(np.float32)
    for axis in (0, 1):
        coarse = rng.normal(0, rng.uniform(0, 7), (4, 4)).astype(np.float32)
        where[..., axis] += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    bent = cv2.remap(picture.astype(np.float32), where, None, cv2.INTER_LINEAR, None, 1)
    return bent.clip(0, 1)


def _axial(rng: Rng) -> np.ndarray:
    rows, columns = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    width, height = rng.uniform(0.75, 0.98), rng.uniform(0.48, 0.72)
    power = rng.uniform(2.0, 2.7)

    def inside(share: float) -> np.ndarray:
        u, v = np.abs(columns) / width, np.abs(rows) / height
        return u**power + v**power < share**power

    hounsfield = np.full((SIZE, SIZE), AIR, np.float32)
    if rng.random() < 0.5:  # the table
        hounsfield[np.abs(rows - height - 0.12 + 0.1 * columns**2) < 0.02] = -300
    hounsfield[inside(1.0)] = FAT
    skin = rng.uniform(0.86, 0.97)
    hounsfield[inside(skin)] = MUSCLE + rng.normal(0, 10)
    wall = skin - rng.uniform(0.06, 0.14)
    middle = rng.uniform(0.10, 0.2)
    heart = columns - 0.12, rows + rng.uniform(0.0, 0.15)
    size = rng.uniform(0.0, 0.42)
    lungs = inside(wall) & (np.abs(columns - 0.02) > middle * (1 + 0.6 * rows))
    if size > 0.12:
        lungs &= (heart[0] / size) ** 2 + (heart[1] / (0.8 * size)) ** 2 > 1
    for side in (-1, 1):  # from one lung to none: near the apex and the diaphragm
        if rng.random() < 0.15:
            lungs &= ~((side * columns > 0) & (rows < rng.uniform(-0.4, 0.3)))
    _fill_lungs(hounsfield, lungs, rng, hila=((0.0, -middle), (0.0, middle)))
    _ring_of_ribs(hounsfield, rng, width, height, (wall + skin) / 2)
    _vertebra(hounsfield, rng, height * wall)
    for _ in range(rng.integers(1, 4)):  # aorta, trachea or bronchi
        where = int(SIZE * (0.5 + rng.uniform(-0.06, 0.06))), int(SIZE * rng.uniform(0.42, 0.62))
        value = float(rng.choice([AIR, 150.0, 60.0]))
        cv2.circle(hounsfield, where, int(rng.integers(4, 16)), value, -1)
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), float(rng.normal(0, 4)), 1.0)
    return cv2.warpAffine(hounsfield, turn, (SIZE, SIZE), borderValue=AIR)


def _ring_of_ribs(
    hounsfield: np.ndarray, rng: Rng, width: float, height: float, share: float
) -> None:
    for angle in np.arange(0, 2 * np.pi, rng.uniform(0.3, 0.6)) + rng.uniform(0, 1):
        place = SIZE / 2 * (1 + share * np.array([width * np.cos(angle), height * np.sin(angle)]))
        axes = int(rng.integers(8, 26)), int(rng.integers(3, 6))
        along = np.degrees(np.arctan2(height * np.cos(angle), -width * np.sin(angle)))
        centre = tuple(int(v) for v in place)
        cv2.ellipse(hounsfield, centre, axes, along + rng.normal(0, 8), 0, 360, BONE, -1)
        core = tuple(max(1, a - 3) for a in axes)
        cv2.ellipse(hounsfield, centre, core, along, 0, 360, 180.0, -1)


def _vertebra(hounsfield: np.ndarray, rng: Rng, back: float) -> None:
    row = int(SIZE / 2 * (1 + back * rng.uniform(0.62, 0.85)))
    radius = int(rng.integers(14, 24))
    cv2.ellipse(hounsfield, (SIZE // 2, row), (radius, round(0.8 * radius)), 0, 0, 360, BONE, -1)
    cv2.ellipse(hounsfield, (SIZE // 2, row), (radius - 3, radius // 2), 0, 0, 360, 220.0, -1)
    for side in (-1, 1):
        end = SIZE // 2 + side * radius * 2, row + radius
        cv2.line(hounsfield, (SIZE // 2, row + radius), end, BONE, 6)
    cv2.line(hounsfield, (SIZE // 2, row + radius), (SIZE // 2, row + 2 * radius), BONE, 5)


def _coronal(rng: Rng) -> np.ndarray:
    phantom = Phantom(seed=int(rng.integers(1 << 30)), inspiration=float(rng.uniform(0, 1)))
    heart = bool(rng.random() < 0.6)
    lungs = lung_fields(phantom, SIZE, heart) > 0.5
    rows, columns = np.mgrid[0 : 36 : SIZE * 1j, -18 : 18 : SIZE * 1j].astype(np.float32)
    if not heart and rng.random() < 0.6:  # far behind: lungs that meet the spine
        lungs |= cv2.dilate(lungs.astype(np.uint8), np.ones((1, 9))) > 0
    shoulder = 1 / (1 + np.exp(-(rows - rng.uniform(2, 6)) / 0.7))
    half = 5.5 + shoulder * rng.uniform(9, 12) + 0.02 * rows
    hounsfield = np.full((SIZE, SIZE), AIR, np.float32)
    hounsfield[np.abs(columns) < half] = FAT
    hounsfield[np.abs(columns) < half - rng.uniform(0.4, 2)] = MUSCLE + rng.normal(0, 10)
    if rng.random() < 0.4:  # arms at the sides
        hounsfield[(np.abs(np.abs(columns) - 17) < 1.6) & (rows > 6)] = MUSCLE
        hounsfield[(np.abs(np.abs(columns) - 17) < 0.5) & (rows > 6)] = BONE
    hila = tuple((2 * row - 1, 2 * column) for row, column in ((0.45, -0.1), (0.45, 0.12)))
    _fill_lungs(hounsfield, lungs, rng, hila)
    _ribs_beside(hounsfield, lungs, rng)
    if heart:  # in front of the spine: windpipe and its two branches
        air = (np.abs(columns) < rng.uniform(0.5, 0.9)) & (rows < 13)
        fork = np.abs(np.abs(columns) - 0.55 * (rows - 12.5)) < 0.5
        hounsfield[air | (fork & (rows > 12.5) & (rows < 17))] = -980
    else:
        for row in np.arange(1.0, 36.0, rng.uniform(2.0, 2.8)):
            block = (np.abs(columns) < 1.7) & (np.abs(rows - row) < 0.85)
            hounsfield[block] = BONE * rng.uniform(0.5, 0.9)
    for _ in range(rng.integers(0, 4)):  # gas in stomach and bowel
        where = int(rng.uniform(0.2, 0.8) * SIZE), int(rng.uniform(0.86, 1.0) * SIZE)
        axes = tuple(int(v) for v in rng.integers(6, 28, 2))
        cv2.ellipse(hounsfield, where, axes, float(rng.uniform(0, 90)), 0, 360, -900.0, -1)
    top = int(rng.uniform(0, 0.12) * SIZE)
    return hounsfield[top : int(rng.uniform(0.8, 1.0) * SIZE)]


def _ribs_beside(hounsfield: np.ndarray, lungs: np.ndarray, rng: Rng) -> None:
    for row in np.arange(0.16, 0.85, rng.uniform(0.045, 0.075)):
        here = np.flatnonzero(lungs[int(row * SIZE)])
        if len(here):
            for column, out in ((here[0], -1), (here[-1], 1)):
                where = int(column + out * rng.integers(4, 9)), int(row * SIZE)
                axes = int(rng.integers(3, 6)), int(rng.integers(3, 8))
                cv2.ellipse(hounsfield, where, axes, out * 20, 0, 360, BONE, -1)


def _fill_lungs(
    hounsfield: np.ndarray, lungs: np.ndarray, rng: Rng, hila: Sequence[tuple[float, float]]
) -> None:
    """Air with its gradient, vessels round and along the plane, and opacities now and then."""
    rows = np.linspace(-1, 1, SIZE, dtype=np.float32)[:, None]
    air = LUNG + rng.normal(0, 30) + rng.uniform(0, 60) * rows + np.zeros_like(hounsfield)
    for _ in range(rng.integers(0, 6) if rng.random() < 0.5 else 0):
        where = tuple(int(v) for v in rng.integers(0, SIZE, 2))
        patch = np.zeros_like(air)
        axes = tuple(int(v) for v in rng.integers(8, 50, 2))
        cv2.ellipse(patch, where, axes, float(rng.uniform(0, 90)), 0, 360, 1.0, -1)
        patch = cv2.GaussianBlur(patch, (0, 0), rng.uniform(1, 8))
        air += patch * rng.uniform(100, 800)
    for row, column in hila:
        start = SIZE / 2 * np.array([1 + column, 1 + row])
        side = np.sign(column)
        for angle in rng.uniform(-1.5, 1.5, rng.integers(2, 9)):
            _branch(air, start, angle, side, rng.uniform(1.5, 6), rng)
    for _ in range(rng.integers(40, 260)):  # vessels that cross the plane
        where = tuple(int(v) for v in rng.integers(0, SIZE, 2))
        cv2.circle(air, where, int(rng.choice([1, 1, 1, 2, 3])), float(rng.uniform(-500, 40)), -1)
    hounsfield[lungs] = np.minimum(air, 60)[lungs]


def _branch(
    air: np.ndarray, start: np.ndarray, angle: float, side: float, thick: float, rng: Rng
) -> None:
    end = start + rng.uniform(12, 34) * np.array([side * np.cos(angle), np.sin(angle)])
    points = [tuple(int(v) for v in p) for p in (start, end)]
    cv2.line(air, *points, float(rng.uniform(-150, 50)), max(1, round(thick)), cv2.LINE_AA)
    if thick > 1:
        for turn in (-1, 1):
            if rng.random() < 0.85:
                bend = angle + turn * rng.uniform(0.2, 0.7)
                _branch(air, end, bend, side, thick * rng.uniform(0.55, 0.8), rng)
