"""Synthetic chest radiographs with their exact lung mask: for examples, tests and pictures.

No patient's image may ship, so a simple chest is projected instead. Distances are centimetres on a
field of 36 x 36, rows from the top, columns from the midline, the patient's left at positive
columns. Every organ adds thickness (cm) times linear attenuation (1/cm, near 70 keV; Hubbell and
Seltzer, NIST XCOM) to the path of a parallel beam; the image is what Beer-Lambert, scatter and
photon noise leave of it. Good enough to find lungs in, and for nothing clinical.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

FIELD = 36.0
WATER, LUNG, BONE, CORTEX = 0.19, 0.05, 0.40, 0.85


@dataclass(frozen=True)
class Phantom:
    """What to draw. The same values give the same image.

    ``opacities``: 0 none .. 1 many ground-glass patches in the outer and lower zones.
    ``exposure``: above 1 is overexposed (dark and burnt out), below 1 underexposed and noisy.
    ``rotation``: degrees clockwise. ``inspiration``: 0 shallow .. 1 deep. ``lettering``: side
    marker and annotations. ``label``: writes SYNTHETIC in a corner.
    """

    seed: int = 0
    opacities: float = 0.0
    exposure: float = 1.0
    rotation: float = 0.0
    inspiration: float = 0.6
    inverted: bool = False
    lettering: bool = False
    label: bool = True


# Chosen so that both models call "opacities" COVID and neither calls "clear" or "lettering" so.
EXAMPLES: dict[str, Phantom] = {
    "clear": Phantom(seed=3),
    "opacities": Phantom(seed=3, opacities=1.0, inspiration=0.3),
    "inverted": Phantom(seed=11, inverted=True),
    "underexposed": Phantom(seed=14, exposure=0.35, opacities=0.3),
    "rotated": Phantom(seed=17, rotation=9.0),
    "lettering": Phantom(seed=20, lettering=True),
}


def draw_film(phantom: Phantom, size: int = 768) -> tuple[np.ndarray, np.ndarray]:
    """Project the phantom.

    Returns ``(image, lungs)``, uint8 (size, size): the image in 0..255, bright is dense, and its
    exact lung mask, 255 inside a visible lung field (heart, mediastinum and what lies behind the
    diaphragm excluded) and 0 outside.
    """
    chest = _Chest(phantom, size)
    attenuation = chest.attenuation()
    image = _expose(attenuation, chest.visible, phantom, chest.rng)
    lungs = np.where(chest.visible > 0.5, 255, 0).astype(np.uint8)
    if phantom.rotation:
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), -phantom.rotation, 1.06)
        image = cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
        lungs = cv2.warpAffine(lungs, turn, (size, size), flags=cv2.INTER_NEAREST)
    if phantom.lettering:
        _write_marker(image)
    if phantom.inverted:
        image = 255 - image
    if phantom.label:
        _write(image, "SYNTHETIC", row=0.985, column=0.02, height=0.022)
    return image, lungs


def lung_fields(phantom: Phantom, size: int, heart: bool = True) -> np.ndarray:
    """The visible lung fields alone, float32 (size, size), 1 inside; ``heart``: cut out of them."""
    chest = _Chest(phantom, size)
    return chest.visible if heart else np.maximum(chest.visible, chest.behind_heart())


def variations(count: int, seed: int = 0) -> list[Phantom]:
    """Phantoms that differ as patients and exposures do, for tests of the lung mask."""
    rng = np.random.default_rng(seed)
    return [
        Phantom(
            seed=int(rng.integers(1 << 30)),
            opacities=float(rng.choice([0.0, rng.uniform(0, 1)])),
            exposure=float(np.exp(rng.normal(0, 0.3))),
            rotation=float(rng.normal(0, 4)),
            inspiration=float(rng.uniform(0.2, 1)),
            lettering=bool(rng.random() < 0.5),
        )
        for _ in range(count)
    ]


class _Chest:
    """Thickness maps, float32 (size, size) in cm, of one chest."""

    def __init__(self, phantom: Phantom, size: int):
        self.phantom, self.size = phantom, size
        self.rng = np.random.default_rng((phantom.seed, 7))
        self.per_cm = size / FIELD
        axis = (np.arange(size, dtype=np.float32) + 0.5) / self.per_cm
        self.row = axis[:, None]
        self.column = axis[None, :] - np.float32(FIELD / 2)
        grow = self.rng.normal
        self.width = 13.2 * (1 + grow(0, 0.04))  # half width of the chest cavity
        self.apex = 4.8 + grow(0, 0.3)
        self.dome = 24.2 + 2.4 * phantom.inspiration + grow(0, 0.3)
        self.heart_width = 5.6 * (1 + grow(0, 0.07))
        self.visible = self._visible_lungs()

    # -- shapes -----------------------------------------------------------------------------

    def _cavity_half_width(self, row: Any) -> Any:
        down = np.clip((row - self.apex) / 17, 1e-3, 1)
        return self.width * (1 - (1 - down) ** 2.6) ** 0.62 + 0.25 * np.sin(row / 5)

    def _dome_row(self) -> np.ndarray:
        """Row of the diaphragm at each column: two domes that fall to the costophrenic angles."""
        right = self.dome + 0.055 * (self.column + 5.6) ** 2 - 0.0012 * (self.column + 5.6) ** 3
        left = (
            self.dome + 0.9 + 0.058 * (self.column - 6.6) ** 2 + 0.0012 * (self.column - 6.6) ** 3
        )
        return np.where(self.column < 0, right, left)

    def _ellipse(
        self,
        row: float,
        column: float,
        half_rows: float,
        half_columns: float,
        degrees: float = 0.0,
    ) -> np.ndarray:
        """1 - (distance in half axes)^2, positive inside."""
        t = np.deg2rad(degrees)
        r, c = self.row - row, self.column - column
        u, v = c * np.cos(t) + r * np.sin(t), r * np.cos(t) - c * np.sin(t)
        return 1 - (u / half_columns) ** 2 - (v / half_rows) ** 2

    def _ellipsoid(self, *ellipse: float, depth: float) -> np.ndarray:
        """Thickness of an ellipsoid of half depth ``depth``."""
        return 2 * depth * np.sqrt(np.maximum(self._ellipse(*ellipse), 0))

    def _heart(self) -> np.ndarray:
        row, w = self.dome - 4.2, self.heart_width
        return np.maximum(
            self._ellipse(row, 2.5, w * 0.86, w * 1.12, 28),
            self._ellipse(row - 0.6, -1.3, w * 0.92, w * 0.55, -6),
        )

    def behind_heart(self) -> np.ndarray:
        """Lung that the heart hides, float32 (size, size)."""
        beside = np.abs(self.column) > 1.9
        inside = (self.row < self._dome_row()) & (self._heart() >= 0) & beside
        return inside.astype(np.float32)

    def _mediastinum_half_width(self) -> tuple[np.ndarray, np.ndarray]:
        """Half width towards the patient's right and left at each row."""
        right = 2.3 + 0.5 * np.exp(-(((self.row - 8) / 4) ** 2)) + 0.05 * np.sin(self.row)
        knob = 1.5 * np.exp(-(((self.row - 11.6) / 1.5) ** 2))
        trunk = 0.9 * np.exp(-(((self.row - 15.2) / 1.8) ** 2))
        return right, 2.1 + knob + trunk

    def _visible_lungs(self) -> np.ndarray:
        wall = self._cavity_half_width(self.row)
        right, left = self._mediastinum_half_width()
        # The apices lie beside the midline, not on it: round them off.
        beside = np.abs(self.column) - 0.42 * wall
        roof = self.apex + 1.1 * (beside / (0.58 * wall + 0.1)) ** 2
        inside = (np.abs(self.column) < wall) & (self.row > roof) & (self.row < self._dome_row())
        inside &= np.where(self.column < 0, -self.column > right, self.column > left)
        return (inside & (self._heart() < 0)).astype(np.float32)

    # -- thickness --------------------------------------------------------------------------

    def attenuation(self) -> np.ndarray:
        """Line integral of the attenuation along the beam, dimensionless."""
        lung = self._lung_thickness()
        bone, cortex = self._bones()
        water = np.maximum(self._body_thickness() - lung - bone - cortex - self._airways(), 0)
        water += self._vessels() + self._opacities(lung)
        return WATER * water + LUNG * lung + BONE * bone + CORTEX * cortex

    def _body_thickness(self) -> np.ndarray:
        shoulder = 1 / (1 + np.exp(-(self.row - 4.6) / 0.75))
        half = 6.4 + shoulder * (11.6 + 0.06 * (self.row - 6))
        depth = 7.0 + 2.9 * shoulder + 0.02 * self.row
        body = 2 * depth * np.sqrt(np.maximum(1 - np.abs(self.column / half) ** 3.2, 0))
        # Pectoral and breast tissue over the middle and lower zones.
        for side in (-1, 1):
            body = body + self._ellipsoid(18.5, side * 7.6, 5.0, 5.4, depth=0.55)
            body = body + self._ellipsoid(10.0, side * 10.5, 4.0, 5.0, side * 30, depth=0.5)
        return body

    def _lung_thickness(self) -> np.ndarray:
        wall = self._cavity_half_width(self.row)
        depth = 8.3 * np.clip((self.row - self.apex + 0.6) / 9, 0.05, 1) ** 0.5
        cavity = 2 * depth * np.sqrt(np.maximum(1 - (self.column / wall) ** 2, 0))
        seen = cv2.GaussianBlur(self.visible, (0, 0), 0.06 * self.per_cm)
        # Lung behind the heart and behind the domes is there, but thinner.
        hidden = (np.abs(self.column) < wall) & (np.abs(self.column) > 2.0)
        below = np.clip(1 - (self.row - self._dome_row()) / 3.5, 0, 1)
        hidden = hidden * np.where(self.row > self._dome_row(), 0.22 * below, 0.42)
        hidden = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 0.25 * self.per_cm)
        texture = 1 + 0.05 * self._fractal_noise(5)
        return cavity * np.maximum(seen * 0.97, hidden * (self.row > self.apex)) * texture

    def _airways(self) -> np.ndarray:
        trachea = 2.4 * np.sqrt(np.maximum(0.85**2 - (self.column + 0.1) ** 2, 0))
        trachea = trachea * (self.row < 13.2) * np.clip((self.row - 0.5) / 2, 0, 1)
        bronchi = np.zeros_like(trachea)
        for end in ((16.2, -3.6), (16.6, 4.0)):
            bronchi = np.maximum(bronchi, self._tube([(12.9, -0.1), end], 0.55))
        gas = self._ellipsoid(self.dome + 3.4, 7.4, 1.3, 2.5, -8, depth=1.6)
        return np.maximum(trachea, bronchi) + gas

    def _tube(self, points: ArrayLike, radius: float) -> np.ndarray:
        """Thickness of a tube along ``points`` of (row, column), seen from the front."""
        distance = self._distance(points)
        return 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))

    def _distance(self, *lines: ArrayLike) -> np.ndarray:
        """Distance in cm of every pixel from polylines of (row, column)."""
        canvas = np.full((self.size, self.size), 255, np.uint8)
        for points in lines:
            rows, columns = np.asarray(points, np.float64).T
            pixels = np.stack([columns + FIELD / 2, rows], axis=1) * self.per_cm
            cv2.polylines(canvas, [np.rint(pixels * 16).astype(np.int32)], False, 0, shift=4)
        return cv2.distanceTransform(canvas, cv2.DIST_L2, 5) / self.per_cm

    def _bones(self) -> tuple[np.ndarray, np.ndarray]:
        bone, cortex = np.zeros((2, self.size, self.size), np.float32)
        for points, radius, density in self._bone_lines():
            distance = self._distance(points)
            whole = 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))
            marrow = 2 * np.sqrt(np.maximum((radius - 0.11) ** 2 - distance**2, 0))
            cortex += density * (whole - marrow)
            bone += density * 0.35 * marrow
        bone += self._spine()
        for side in (-1, 1):  # shoulder blades, drawn out of the lungs as well as they go
            blade = self._ellipse(11.5, side * 14.6, 6.2, 2.5, side * -14)
            bone += 0.5 * np.clip(blade * 3, 0, 1) + 0.5 * (np.abs(blade) < 0.07)
            bone += self._ellipsoid(6.6, side * 17.2, 2.2, 2.2, depth=1.6)
        return bone, cortex

    def _bone_lines(self) -> Iterator[tuple[np.ndarray, float, float]]:
        t = np.linspace(0, 1, 40)
        for side in (-1, 1):
            for rib in range(1, 11):
                top = 3.4 + 2.15 * rib + 0.012 * rib**2 + self.rng.normal(0, 0.06)
                lateral_row = top + 1.2 + 0.34 * rib
                wall = float(self._cavity_half_width(np.float32(min(lateral_row, 25)))) + 0.35
                # Behind: out of the spine, over the top, down to the side of the chest.
                columns = 1.7 + (wall - 1.7) * np.sin(t * np.pi / 2) ** 1.15
                rows = top - 0.75 * np.sin(t * np.pi * 0.85) + (lateral_row - top) * t**2.2
                yield np.stack([rows, side * columns], 1), 0.46 + 0.012 * rib, 1.0
                if (
                    2 <= rib <= 7
                ):  # In front: back towards the sternum, steeper, ending in cartilage.
                    inward = wall - (wall - 5.2 - 0.35 * rib) * np.sin(t * np.pi / 2)
                    down = lateral_row + (2.6 + 0.34 * rib) * t**1.25
                    yield np.stack([down, side * inward], 1), 0.48, 0.62
            s = self.rng.normal(0, 0.15)
            collar = 7.9 + s - 2.9 * t + 0.75 * np.sin(t * 2 * np.pi)
            yield np.stack([collar, side * (2.0 + 13.6 * t)], 1), 0.58, 0.95

    def _spine(self) -> np.ndarray:
        spine = np.zeros((self.size, self.size), np.float32)
        for n in range(16):
            row = 1.2 + n * 2.25
            u = np.abs(self.column) / (1.5 + 0.012 * row)
            v = np.abs(self.row - row) / 0.98
            body = np.clip(1 - np.maximum(u, v) ** 8, 0, 1) * np.sqrt(np.maximum(1 - u**2 * 0.7, 0))
            spine = np.maximum(spine, 1.5 * body)
            for side in (-1, 1):
                spine = spine + self._ellipsoid(row - 0.2, side * 0.95, 0.5, 0.3, depth=0.35)
            spine = spine + self._ellipsoid(row + 0.5, 0.0, 0.75, 0.24, depth=0.5)
        return spine

    def _vessels(self) -> np.ndarray:
        by_radius: dict[float, list[ArrayLike]] = {}
        for side, hilum in ((-1, (16.4, -3.4)), (1, (15.6, 3.9))):
            for angle in np.linspace(-1.25, 1.35, 8):
                self._branch(by_radius, np.array(hilum), angle, side, 0.34, 5)
        total = np.zeros((self.size, self.size), np.float32)
        for radius, lines in by_radius.items():
            distance = self._distance(*lines)
            total += 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))
        for row, column in ((16.2, -3.0), (15.4, 3.6)):
            total += self._ellipsoid(row, column, 2.1, 1.2, depth=0.8)
        inside = cv2.GaussianBlur(self.visible, (0, 0), 0.15 * self.per_cm)
        return cv2.GaussianBlur(total * inside, (0, 0), 0.03 * self.per_cm)

    def _branch(
        self,
        by_radius: dict[float, list[ArrayLike]],
        start: np.ndarray,
        angle: float,
        side: int,
        radius: float,
        depth: int,
    ) -> None:
        length = self.rng.uniform(1.5, 2.7) * (0.82 + 0.08 * depth)
        bend = angle + self.rng.normal(0, 0.12)
        middle = start + 0.5 * length * np.array([np.sin(angle), side * np.cos(angle)])
        end = middle + 0.5 * length * np.array([np.sin(bend), side * np.cos(bend)])
        by_radius.setdefault(round(radius, 3), []).append([start, middle, end])
        if depth > 1:
            for turn in (-1, 1):
                fork = bend + turn * self.rng.uniform(0.2, 0.6)
                self._branch(by_radius, end, fork, side, radius * 0.74, depth - 1)

    def _opacities(self, lung: np.ndarray) -> np.ndarray:
        """Ground glass: more water in the air, in patches of the outer and lower zones."""
        amount = self.phantom.opacities
        total = np.zeros((self.size, self.size), np.float32)
        if not amount:
            return total
        for side in (-1, 1):
            for _ in range(2 + round(4 * amount)):
                row = self.rng.uniform(self.dome - 9.5, self.dome - 1.5)
                column = side * (float(self._cavity_half_width(np.float32(row))) - 3.2)
                column += self.rng.normal(0, 0.9)
                half_rows, half_columns = self.rng.uniform(1.4, 3.0, 2)
                turned = self.rng.uniform(0, 90)
                patch = self._ellipse(row, column, half_rows, half_columns, turned)
                patch = np.maximum(patch, 0)
                total = np.maximum(total, patch * self.rng.uniform(0.16, 0.34) * (0.6 + amount))
        mottle = np.clip(1 + 0.55 * self._fractal_noise(6), 0.1, None)
        return cv2.GaussianBlur(total, (0, 0), 0.35 * self.per_cm) * mottle * lung

    def _fractal_noise(self, octaves: int) -> np.ndarray:
        """Noise with equal power per octave, mean 0, standard deviation 1."""
        noise = np.zeros((self.size, self.size), np.float32)
        for octave in range(octaves):
            cells = 6 * 2**octave
            coarse = self.rng.normal(0, 1, (cells, cells)).astype(np.float32)
            noise += cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC) / (
                1 + 0.5 * octave
            )
        return (noise - noise.mean()) / noise.std()


def _expose(
    attenuation: np.ndarray, lungs: np.ndarray, phantom: Phantom, rng: np.random.Generator
) -> np.ndarray:
    """Beer-Lambert, scatter after the grid, photon noise, tone curve -> uint8 in 0..255."""
    size = len(attenuation)
    primary = np.exp(-attenuation)
    scatter = 0.30 * cv2.GaussianBlur(primary, (0, 0), size / 9)
    photons = 45_000.0 * phantom.exposure * (768 / size) ** 2
    counts = rng.poisson((primary + scatter) * photons).astype(np.float32)
    counts = cv2.GaussianBlur(counts, (0, 0), 0.0009 * size)
    density = -np.log(np.maximum(counts, 0.5) / photons)
    low, high = np.percentile(density[lungs > 0], 3), np.percentile(density, 99)
    light = (density - low) / (high - low) * 0.78 + 0.14 - 0.2 * np.log(phantom.exposure)
    return (255 * np.clip(light, 0, 1)).astype(np.uint8)


def _write_marker(image: np.ndarray) -> None:
    _write(image, "L", row=0.13, column=0.90, height=0.06)
    _write(image, "PORTABLE AP", row=0.05, column=0.03, height=0.028)
    _write(image, "SUPINE 14:05", row=0.095, column=0.03, height=0.028)


def _write(image: np.ndarray, text: str, row: float, column: float, height: float) -> None:
    size = len(image)
    scale = height * size / 22
    where = round(column * size), round(row * size)
    thick = max(1, round(scale * 1.6))
    cv2.putText(image, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, 245, thick, cv2.LINE_AA)
