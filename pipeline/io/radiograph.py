"""Bytes in, one grey radiograph out: PNG, JPEG, BMP, TIFF, WebP and DICOM.

DICOM identity tags never leave this file: a `Radiograph` carries what the picture needs, no more.
"""

import hashlib
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.encaps import get_frame
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from pipeline.io import decode_limits
from pipeline.text.messages import Message

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MODALITIES = ("CR", "DX", "RG")  # computed, digital and conventional radiography
MIN_SIDE = 64
MAX_MEGAPIXELS = 64  # of a grey picture of 1, 8 or 16 bits, which takes up to 7 bytes each
# Of any other, which takes up to 16. The largest detectors, 43 x 43 cm at 88 micrometres, have 24.
MAX_OTHER_MEGAPIXELS = 30
MAX_WEBP_MEGAPIXELS = 16  # its decoder keeps two canvases
MAX_RUN_LENGTH_MEGAPIXELS = 4  # of a BMP: Pillow decodes run lengths in Python
STRIP = 1_000_000  # pixels that are converted at a time, as intermediate results take the most

# EXIF 2.3, tag 0112: what turns the film as it is to be seen.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The only elements of a DICOM file that are kept, besides its character set.
ELEMENTS = [
    "Modality",
    "ViewPosition",
    "BodyPartExamined",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PixelData",
]

# One decoder each: one that fails is not followed by another that may be led astray.
DECODERS = {
    pydicom.uid.RLELossless: "pydicom",
    pydicom.uid.JPEGBaseline8Bit: "pillow",
    pydicom.uid.JPEGExtended12Bit: "pylibjpeg",
    pydicom.uid.JPEGLossless: "pylibjpeg",
    pydicom.uid.JPEGLosslessSV1: "pylibjpeg",
    pydicom.uid.JPEGLSLossless: "pyjpegls",
    pydicom.uid.JPEGLSNearLossless: "pyjpegls",
    pydicom.uid.JPEG2000Lossless: "pillow",
    pydicom.uid.JPEG2000: "pillow",
    pydicom.uid.HTJ2KLossless: "pylibjpeg",
    pydicom.uid.HTJ2KLosslessRPCL: "pylibjpeg",
    pydicom.uid.HTJ2K: "pylibjpeg",
}

Image.MAX_IMAGE_PIXELS = None  # our own limit below is checked before anything is decoded


class UnreadableRadiograph(ValueError):
    """Why these bytes are no radiograph we can read; ``message`` holds code and sentence."""

    def __init__(self, code: str, **values):
        self.message = Message(code, values)
        super().__init__(self.message.sentence())


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One film, ready for the graph.

    ``pixels``: float32 (rows, columns) in 0..255, bright is dense, as on the light box.
    ``bits``: bits per pixel that the file held. ``projection``, ``body_part``: as a DICOM file
    states them, otherwise empty.
    """

    pixels: np.ndarray
    sha256: str
    format: str
    bits: int = 8
    photometric: str = ""
    projection: str = ""
    body_part: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the film as it was uploaded."""
        return self.pixels.shape


def read_radiograph(data: bytes) -> Radiograph:
    """Decode one film.

    Raises UnreadableRadiograph with a sentence that says what is wrong and what to do: nothing
    else escapes, whatever the bytes are.
    """
    if not data:
        raise UnreadableRadiograph("empty")
    sha256 = hashlib.sha256(data).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn about oddities that we judge ourselves
        return _read_dicom(data, sha256) if _is_dicom(data) else _read_picture(data, sha256)


def _check_size(rows: int, columns: int, maximum: int = MAX_OTHER_MEGAPIXELS) -> None:
    if min(rows, columns) < MIN_SIDE:
        raise UnreadableRadiograph("too_small", rows=rows, columns=columns, minimum=MIN_SIDE)
    if rows * columns > maximum * 1_000_000:
        raise UnreadableRadiograph("too_large", rows=rows, columns=columns, maximum=maximum)


def _strips(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a film in parts of about `STRIP` pixels."""
    step = max(1, STRIP // columns)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _read_picture(data: bytes, sha256: str) -> Radiograph:
    try:
        decode_limits.check_picture(data)
        image = Image.open(decode_limits.Bounded(data), formats=FORMATS)
        _check_size(image.height, image.width, _most_megapixels(image))
        kind, mode = image.format, image.mode
        if kind in ("JPEG", "MPO"):  # cameras store several JPEGs in one file
            decode_limits.check_scans(data)
            kind = "JPEG"
        white_is_zero = kind == "TIFF" and image.tag_v2.get(262) == 0
        image.load()
        turn = TURNS.get(image.getexif().get(0x0112))
        image = image if turn is None else image.transpose(turn)
    except UnreadableRadiograph:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableRadiograph("not_an_image") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableRadiograph("truncated") from error
    if mode == "1" or image.mode == "L":
        pixels = _levels(image if image.mode == "L" else image.convert("L"))
    elif mode.startswith("I") or mode == "F":
        pixels, bits = _scale_deep(_levels(image))
        if white_is_zero:  # Pillow inverts 8 bits but hands deeper pixels out as stored
            np.subtract(255, pixels, out=pixels)
        return Radiograph(pixels, sha256, kind, bits=bits)
    else:
        pixels = _grey_of_colour(image)
    return Radiograph(pixels, sha256, kind, bits=1 if mode == "1" else 8)


def _levels(image: Image.Image) -> np.ndarray:
    """A grey picture's values as they are, float32 (rows, columns)."""
    pixels = np.empty((image.height, image.width), np.float32)
    for rows in _strips(*pixels.shape):
        pixels[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    return pixels


def _most_megapixels(image: Image.Image) -> int:
    if image.format == "WEBP":
        return MAX_WEBP_MEGAPIXELS
    if image.format == "BMP" and image.tile[0][0] == "bmp_rle":
        return MAX_RUN_LENGTH_MEGAPIXELS
    grey = image.mode in ("1", "L") or image.mode.startswith("I;16")
    return MAX_MEGAPIXELS if grey else MAX_OTHER_MEGAPIXELS


def _scale_deep(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Scale deeper than 8 bits to 0..255 by the smallest usual depth that holds the maximum.

    A 12-bit film in a 16-bit file thus comes out as bright as its 8-bit copy would.
    """
    low, high = float(pixels.min()), float(pixels.max())  # undefined if any pixel is
    if not 0 <= low <= high <= 2**32:
        raise UnreadableRadiograph("pixel_range")
    bits = next(bits for bits in (8, 10, 12, 14, 16, 32) if high <= 2**bits - (bits < 32))
    pixels *= np.float32(255 if 0 < high <= 1 else 255 / (2**bits - 1))
    return pixels.clip(0, 255, out=pixels), bits


def _grey_of_colour(image: Image.Image) -> np.ndarray:
    """Grey of a film that was saved in colour; refuses pictures whose colour says something."""
    rgb = _on_black(image)
    grey = np.asarray(rgb.convert("L"), np.float32)
    small = np.asarray(rgb.resize((128, 128), Image.Resampling.BOX), np.float32).reshape(-1, 3)
    # A tinted film's colours are a straight function of its grey; a photograph's are not.
    level = small.mean(axis=1)
    basis = np.stack([np.ones_like(level), level, level**2 / 255], axis=1)
    fit = basis @ np.linalg.lstsq(basis, small, rcond=None)[0]
    if (np.abs(small - fit).max(axis=1) > 16).mean() > 0.02:
        raise UnreadableRadiograph("colour")
    return grey


def _on_black(image: Image.Image) -> Image.Image:
    """The film in RGB; what is transparent comes to lie on black, strip by strip."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgb = Image.new("RGB", image.size)
    for rows in _strips(image.height, image.width):
        part = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        rgb.paste(part.convert("RGB"), (0, rows.start), part)
    return rgb


def _is_dicom(data: bytes) -> bool:
    if data[128:132] == b"DICM":
        return True
    # Without a preamble a DICOM file begins with an element of group 0002 or 0008.
    return len(data) > 8 and struct.unpack_from("<H", data)[0] in (0x0002, 0x0008)


def _read_dicom(data: bytes, sha256: str) -> Radiograph:
    try:
        plain = decode_limits.BoundedDicom(decode_limits.inflated(data))
        dataset = pydicom.dcmread(plain, force=True, specific_tags=ELEMENTS)
        _check_dicom(dataset)
        photometric = _code(dataset, "PhotometricInterpretation")
        pixels = _dicom_to_grey(dataset, _stored_pixels(dataset), photometric)
        bits = int(dataset.BitsStored)
        projection, body_part = (_code(dataset, k) for k in ("ViewPosition", "BodyPartExamined"))
    except UnreadableRadiograph:
        raise
    except Exception as error:  # as above; the text of the error may hold identity tags
        raise UnreadableRadiograph("dicom_damaged") from error
    return Radiograph(
        pixels,
        sha256,
        "DICOM",
        bits=bits,
        photometric=photometric,
        projection=projection.upper(),
        body_part=body_part.upper(),
    )


def _code(dataset: pydicom.Dataset, keyword: str) -> str:
    """A code string as it may be shown: PS3.5 6.2 allows 16 characters of ASCII."""
    text = str(dataset.get(keyword) or "")
    return "".join(c for c in text if c.isascii() and c.isprintable())[:16].strip()


def _check_dicom(dataset: pydicom.Dataset) -> None:
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    for tag in list(dataset.keys()):
        dataset[tag] = decode_limits.check_element(dataset.get_item(tag))
    modality = _code(dataset, "Modality")
    if modality not in MODALITIES:
        raise UnreadableRadiograph(
            "modality", modality=modality or "?", known=", ".join(MODALITIES)
        )
    if "PixelData" not in dataset:
        raise UnreadableRadiograph("dicom_no_pixels")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableRadiograph("multi_frame", frames=int(dataset.NumberOfFrames))
    photometric = _code(dataset, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableRadiograph("photometric", photometric=photometric or "?")
    _check_size(int(dataset.Rows), int(dataset.Columns))


def _stored_pixels(dataset: pydicom.Dataset) -> np.ndarray:
    """Pixels as they are stored, (rows, columns); raises nearly anything."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if dataset.SamplesPerPixel != 1 or not 1 <= dataset.BitsStored <= dataset.BitsAllocated <= 32:
        raise ValueError("more than one sample, or deeper than any film")
    if syntax.is_compressed:  # never deflated, that is undone
        if syntax != pydicom.uid.RLELossless:
            frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
            decode_limits.check_frame(frame, dataset.Rows, dataset.Columns)
        dataset.pixel_array_options(decoding_plugin=DECODERS[syntax])
    return dataset.pixel_array.reshape(dataset.Rows, dataset.Columns)


def _dicom_to_grey(dataset: pydicom.Dataset, stored: np.ndarray, photometric: str) -> np.ndarray:
    """Modality LUT, then VOI LUT or window, then MONOCHROME1 (PS3.4 N.2, PS3.3 C.11.1, C.11.2)."""
    values = np.empty(stored.shape, np.float32)
    for rows in _strips(*stored.shape):
        values[rows] = apply_voi_lut(apply_modality_lut(stored[rows], dataset), dataset)
    padded = np.zeros(stored.shape, bool)
    if "PixelPaddingValue" in dataset:  # outside the detector; PS3.3 C.7.5.1.1.2
        low = int(dataset.PixelPaddingValue)
        low, high = sorted((low, int(dataset.get("PixelPaddingRangeLimit", low))))
        padded = (stored >= low) & (stored <= high)
    if padded.all():
        padded[:] = False
    low = float(values.min(where=~padded, initial=np.inf))
    high = float(values.max(where=~padded, initial=-np.inf))
    if not np.isfinite(values.sum(dtype=np.float64)):  # a window or a slope that is no number
        raise UnreadableRadiograph("pixel_range")
    values -= np.float32(low)
    values *= np.float32(255 / max(high - low, 1e-6))
    if photometric == "MONOCHROME1":
        np.subtract(255, values, out=values)
    values[padded] = 0
    return values.clip(0, 255, out=values)
