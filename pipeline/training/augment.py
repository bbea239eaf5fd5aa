"""What hospitals differ in, done to training images; uint8 (rows, columns) in and out.

Lengths are shares of an image's side, so that a step at half size sees what one at full size does.
"""

import cv2
import numpy as np

Array = np.ndarray
FULL = 256  # the side in pixels that lengths in pixels below are meant at


def vary(image: Array, mask: Array | None, rng: np.random.Generator) -> Array:
    """What the classifier is shown of a changed copy: lungs cut out, equalised, outside 0.

    ``image``: 0..255; ``mask``: 1 inside a lung field, of the same shape, or None for a network
    that sees the whole image, not equalised. Sharpness, resampling,
    compression, local contrast and noise change before the lungs are cut out, as they do between
    hospitals; the mask grows or shrinks by a few pixels; then the copy is moved, turned and zoomed,
    equalised as the graph does, made a little darker or brighter, and loses patches, so that no
    single spot decides (Zhong et al. 2020, random erasing).
    """
    image = change_acquisition(image, rng)
    if mask is None:
        return move(image, image, rng)[0]
    if rng.random() < 0.5:
        mask = grow(mask, int(rng.integers(-4, 5) * image.shape[0] / FULL))
    image, mask = move(image, mask, rng)
    shown = cv2.equalizeHist(image * mask)
    table = 255 * (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.15))
    shown = cv2.LUT(shown, _levels(table))
    return erase(shown, rng) if rng.random() < 0.5 else shown


def change_acquisition(image: Array, rng: np.random.Generator) -> Array:
    """Another detector, archive and screen: sharpness, local contrast, noise; no pixel moves."""
    rows = image.shape[0]
    if rng.random() < 0.6:
        image = change_sharpness(image, rng)
    if rng.random() < 0.3:  # how strongly a vendor's processing evens out large structures
        exact = image.astype(np.float32)
        coarse = cv2.GaussianBlur(exact, (0, 0), rng.uniform(6, 24) * rows / FULL)
        image = _levels(exact + rng.uniform(-0.5, 0.7) * (exact - coarse))
    if rng.random() < 0.3:
        image = _levels(image + rng.normal(0, rng.uniform(1, 8), image.shape))
    return image


def change_sharpness(image: Array, rng: np.random.Generator) -> Array:
    """Blur or sharpen, shrink to two thirds and enlarge, or compress."""
    way = rng.integers(3)
    if way == 0:
        exact = image.astype(np.float32)
        blurred = cv2.GaussianBlur(exact, (0, 0), rng.uniform(0.4, 1.2) * image.shape[0] / FULL)
        return _levels(blurred + rng.uniform(0, 2) * (exact - blurred))
    if way == 1:
        scale = rng.uniform(0.6, 1)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
    return cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_GRAYSCALE)


def grow(mask: Array, pixels: int) -> Array:
    """The mask grown by so many pixels, or shrunk where negative."""
    if pixels == 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    return (cv2.dilate if pixels > 0 else cv2.erode)(mask, disc)


def move(image: Array, mask: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Image and mask moved alike: half of them by whole pixels, half turned and zoomed, too."""
    rows, columns = image.shape
    if rng.random() < 0.5:
        shift = np.rint(rng.uniform(-0.06, 0.06, 2) * (columns, rows))
        turn = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    else:
        angle, zoom = rng.normal(0, 4), np.exp(rng.normal(0, 0.07))
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, zoom)
        turn[:, 2] += rng.normal(0, 0.03, 2) * (columns, rows)
    image = cv2.warpAffine(image, turn, (columns, rows), flags=cv2.INTER_LINEAR)
    return image, cv2.warpAffine(mask, turn, (columns, rows), flags=cv2.INTER_NEAREST)


def erase(image: Array, rng: np.random.Generator) -> Array:
    """Up to three patches of up to a fifth of a side, blacked out."""
    rows = image.shape[0]
    for _ in range(rng.integers(1, 4)):
        high, wide = rng.integers(rows // 16, rows // 5 + 1, 2)
        top, left = rng.integers(0, rows - high + 1), rng.integers(0, rows - wide + 1)
        image[top : top + high, left : left + wide] = 0
    return image


def vary_pair(image: Array, mask: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Image and lung mask for the U-Net, moved alike, the image exposed as elsewhere."""
    rows, columns = image.shape
    turn = cv2.getRotationMatrix2D(
        (columns / 2, rows / 2), rng.normal(0, 6), np.exp(rng.normal(-0.03, 0.09))
    )
    turn[:, 2] += rng.normal(0, 0.03, 2) * (columns, rows)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    image = cv2.warpAffine(image, turn, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=border)
    mask = cv2.warpAffine(mask, turn, (columns, rows), flags=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return change_exposure(np.ascontiguousarray(image), rng), mask


def change_exposure(image: Array, rng: np.random.Generator) -> Array:
    """Gamma, uneven exposure (heel effect, rotated patient), blur, noise, clipped ends."""
    rows, columns = image.shape
    light = (np.arange(256, dtype=np.float32) / 255) ** np.float32(np.exp(rng.normal(0, 0.3)))
    light = light[image]
    slope_r, slope_c = rng.normal(0, 0.12, 2)
    slope = 1 + slope_r * np.linspace(-1, 1, rows)[:, None] + slope_c * np.linspace(-1, 1, columns)
    light = light * slope.astype(np.float32)
    if rng.random() < 0.3:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.2) * rows / FULL)
    if rng.random() < 0.5:
        light = light + rng.normal(0, rng.uniform(0, 0.04), image.shape).astype(np.float32)
    low, high = rng.uniform(-0.1, 0.1), rng.uniform(0.85, 1.2)
    return _levels(255 * (light - low) / (high - low))


def _levels(image: Array) -> Array:
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)
