"""PNG, JPEG, BMP, TIFF and WebP to one grey radiograph."""

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.io import decode_limits
from pipeline.io.grey_scale import robust_range, strips
from pipeline.io.radiograph import (
    MAX_MEGAPIXELS,
    MAX_OTHER_MEGAPIXELS,
    Radiograph,
    UnreadableRadiograph,
    check_size,
)
from pipeline.text.messages import Message

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MAX_WEBP_MEGAPIXELS = 16  # its decoder keeps two canvases
MAX_RUN_LENGTH_MEGAPIXELS = 4  # of a BMP: Pillow decodes run lengths in Python
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
GREY = np.float32((0.299, 0.587, 0.114))  # ITU-R BT.601

# EXIF 2.3, tag 0112: what turns the picture as it is to be seen.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = None  # our own limit below is checked before anything is decoded


def read_raster(data: bytes, sha256: str) -> Radiograph:
    """Decode a picture. Raises UnreadableRadiograph, and nothing else, whatever the bytes are."""
    try:
        decode_limits.check_picture(data)
        pages = decode_limits.tiff_pages(data) if data[:4] in TIFF else []
        image, page = _opened(data, pages)
        return _radiograph(data, image, pages, page, sha256)
    except UnreadableRadiograph:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableRadiograph("truncated") from error


def _opened(data: bytes, pages: list) -> tuple[Image.Image, int]:
    """The picture, not decoded yet, and which page of a TIFF it is."""
    image = Image.open(decode_limits.Bounded(data), formats=FORMATS)
    if not pages:
        return image, 0
    page = decode_limits.main_page(pages)
    if 330 in pages[page].tags and not pages[page].is_whole:
        raise UnreadableRadiograph("tiff_reduced")
    decode_limits.check_page(data, pages[page])
    try:
        image.seek(page)
    except Exception as error:
        raise UnreadableRadiograph("picture_kind", kind=f"TIFF, {pages[page].kind}") from error
    return image, page


def _radiograph(data: bytes, image: Image.Image, pages: list, page: int, sha256: str) -> Radiograph:
    check_size(image.height, image.width, _most_megapixels(image))
    kind, mode = image.format, image.mode
    kind = "JPEG" if kind == "MPO" else kind  # cameras store several JPEGs in one file
    white_is_zero = kind == "TIFF" and image.tag_v2.get(262) == 0
    deep = _is_deep_colour(data, kind, pages, page)
    count = sum(page.is_whole for page in pages)
    notes = (Message("pages", {"count": count}),) if count > 1 else ()
    bits = 1 if mode == "1" else 8
    if deep:
        turn = TURNS.get(image.getexif().get(0x0112))
        premultiplied = kind == "TIFF" and pages[page].tags.get(338) == 1
        pixels, bits = _scaled(_deep_grey(data, page, premultiplied))
        if turn is not None and kind != "TIFF":  # OpenCV turns that by itself
            pixels = np.array(Image.fromarray(pixels).transpose(turn))
        return Radiograph(pixels, sha256, kind, bits=bits, notes=notes)
    image.load()
    turn = TURNS.get(image.getexif().get(0x0112))  # in a PNG it may stand behind the pixels
    image = image if turn is None else image.transpose(turn)
    if mode == "1" or image.mode == "L":
        pixels = _levels(image if image.mode == "L" else image.convert("L"))
    elif mode.startswith("I") or mode == "F":
        pixels, bits = _scaled(_levels(image))
        if white_is_zero:  # Pillow inverts 8 bits but hands deeper pixels out as stored
            np.subtract(255, pixels, out=pixels)
    else:
        pixels = grey_of_colour(_on_black(image))
    return Radiograph(pixels, sha256, kind, bits=bits, notes=notes)


def _unidentified(data: bytes) -> UnreadableRadiograph:
    """Why Pillow does not know a picture, as far as its header says."""
    try:
        if data[:4] in TIFF:
            pages = decode_limits.tiff_pages(data)
            page = pages[decode_limits.main_page(pages)]
            if 256 in page.tags:
                return UnreadableRadiograph("picture_kind", kind=f"TIFF, {page.kind}")
        elif data[:3] == b"\xff\xd8\xff":
            frame = decode_limits.jpeg_kind(data)
            if frame:
                marker, bits = frame
                process = {0xC3: "lossless, ", 0xF7: "JPEG-LS, "}.get(marker, "")
                return UnreadableRadiograph("picture_kind", kind=f"JPEG, {process}{bits} bits")
    except Exception:  # a header that says nothing
        pass
    return UnreadableRadiograph("not_an_image")


def _most_megapixels(image: Image.Image) -> int:
    if image.format == "WEBP":
        return MAX_WEBP_MEGAPIXELS
    if image.format == "BMP" and image.tile[0][0] == "bmp_rle":
        return MAX_RUN_LENGTH_MEGAPIXELS
    grey = image.mode in ("1", "L") or image.mode.startswith("I;16")
    return MAX_MEGAPIXELS if grey else MAX_OTHER_MEGAPIXELS


# -- levels -----------------------------------------------------------------------------------


def _levels(image: Image.Image) -> np.ndarray:
    """A grey picture's values as they are, float32 (rows, columns)."""
    pixels = np.empty((image.height, image.width), np.float32)
    for rows in strips(*pixels.shape):
        pixels[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    return pixels


def _scaled(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Scale deeper than 8 bits to 0..255 by the smallest usual depth that holds the image.

    A 12-bit image in a 16-bit file thus comes out as bright as its 8-bit copy would. A defect pixel
    or a burnt-in marker beyond that depth is shown white, see `robust_range`.
    """
    low, high = float(pixels.min()), float(pixels.max())  # undefined if any pixel is
    if not 0 <= low <= high <= 2**32:
        raise UnreadableRadiograph("pixel_range")
    own = robust_range(pixels)[1]
    bits = next(bits for bits in (8, 10, 12, 14, 16, 32) if own < 2**bits - 0.5 or bits == 32)
    # Shares of 1, which resampling may have carried a little beyond: nobody stores two levels.
    pixels *= np.float32(255 if 0 < own < 2 else 255 / (2**bits - 1))
    return pixels.clip(0, 255, out=pixels), bits


def _is_deep_colour(data: bytes, kind: str, pages: list, page: int) -> bool:
    """Whether this is a colour or alpha picture of 16 bits, of which Pillow keeps 8."""
    if kind == "PNG":
        return data[24] == 16 and data[25] != 0  # IHDR: bits, colour type
    if kind == "TIFF":
        tags = pages[page].tags
        deep = tags.get(258) == 16 and tags.get(277, 1) > 2
        if deep and tags.get(284, 1) != 1:  # which Pillow scrambles and OpenCV does not read
            raise UnreadableRadiograph("picture_kind", kind=f"TIFF, planes, {pages[page].kind}")
        return deep
    return False


def _deep_grey(data: bytes, page: int, premultiplied: bool) -> np.ndarray:
    """Grey of such a picture on black, float32 (rows, columns) in 0..65535.

    ``premultiplied``: its colours lie on black already.
    """
    coded, whole = np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED
    if page:
        _, found = cv2.imdecodemulti(coded, whole, range=(page, page + 1))
        picture = found[0] if found else None
    else:
        picture = cv2.imdecode(coded, whole)
    if picture is None or picture.dtype != np.uint16:
        raise ValueError("not decoded in full depth")
    if picture.ndim == 2:
        return picture.astype(np.float32)
    alpha = picture.shape[2] == 4 and not premultiplied and bool(picture[..., 3].any())
    _check_colours(_small(picture[..., 2::-1]) / 257)
    grey = np.empty(picture.shape[:2], np.float32)
    for rows in strips(*grey.shape):
        part = picture[rows]
        grey[rows] = part[..., 2::-1].astype(np.float32) @ GREY
        if alpha:
            grey[rows] *= part[..., 3] * np.float32(1 / 65535)
    return grey


# -- colours ----------------------------------------------------------------------------------


def grey_of_colour(rgb: Image.Image | np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Grey of a radiograph in colour, (rows, columns, 3): float32 (rows, columns) in 0..255.

    ``scale``: what brings its values to 0..255. Refuses pictures whose colour says something.
    """
    if isinstance(rgb, Image.Image):
        small = np.asarray(rgb.resize((128, 128), Image.Resampling.BOX), np.float32)
        _check_colours(small)
        return np.asarray(rgb.convert("L"), np.float32)
    _check_colours(_small(rgb) * scale)
    grey = np.empty(rgb.shape[:2], np.float32)
    for rows in strips(*grey.shape):
        grey[rows] = rgb[rows].astype(np.float32) @ (GREY * np.float32(scale))
    return grey.clip(0, 255, out=grey)


def _small(rgb: np.ndarray) -> np.ndarray:
    small = cv2.resize(np.ascontiguousarray(rgb), (128, 128), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def _check_colours(small: np.ndarray) -> None:
    """Refuse a photograph; ``small``: float32 (rows, columns, 3) in 0..255.

    A tinted radiograph's colours are a straight function of its grey; a photograph's are not.
    """
    small = small.reshape(-1, 3)
    level = small.mean(axis=1)
    basis = np.stack([np.ones_like(level), level, level**2 / 255], axis=1)
    fit = basis @ np.linalg.lstsq(basis, small, rcond=None)[0]
    if (np.abs(small - fit).max(axis=1) > 16).mean() > 0.02:
        raise UnreadableRadiograph("colour")


def _on_black(image: Image.Image) -> Image.Image:
    """The picture in RGB; what is transparent comes to lie on black, strip by strip.

    Where everything is, it is none: some programs leave the alpha of a BMP empty.
    """
    alpha = "A" in image.getbands()
    if alpha and image.getchannel("A").getextrema()[1] == 0:
        return image.convert("RGB")
    if not alpha and "transparency" not in image.info:
        return image.convert("RGB")
    rgb = Image.new("RGB", image.size)
    for rows in strips(image.height, image.width):
        part = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        rgb.paste(part.convert("RGB"), (0, rows.start), part)
    return rgb
