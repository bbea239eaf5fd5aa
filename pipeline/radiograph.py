"""Bytes in, one grey radiograph out: PNG, JPEG, BMP, TIFF, WebP and DICOM.

DICOM identity tags never leave this file: a `Radiograph` carries what the picture needs, no more.
"""

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
import pydicom
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from pipeline.messages import Message

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MODALITIES = ("CR", "DX", "RG")  # computed, digital and conventional radiography
MIN_SIDE = 64
MAX_MEGAPIXELS = 64

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


def _check_size(rows: int, columns: int) -> None:
    if min(rows, columns) < MIN_SIDE:
        raise UnreadableRadiograph("too_small", rows=rows, columns=columns, minimum=MIN_SIDE)
    if rows * columns > MAX_MEGAPIXELS * 1_000_000:
        raise UnreadableRadiograph("too_large", rows=rows, columns=columns, maximum=MAX_MEGAPIXELS)


def _read_picture(data: bytes, sha256: str) -> Radiograph:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(image.height, image.width)
        kind, mode = image.format, image.mode
        white_is_zero = kind == "TIFF" and image.tag_v2.get(262) == 0
        image.load()
        image = ImageOps.exif_transpose(image)
    except UnreadableRadiograph:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableRadiograph("not_an_image") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableRadiograph("truncated") from error
    if mode == "1" or image.mode == "L":
        pixels = np.asarray(image.convert("L"), np.float32)
    elif mode.startswith("I") or mode == "F":
        pixels, bits = _scale_deep(np.asarray(image).astype(np.float32))
        # Pillow inverts white-is-zero for 8 bits but hands deeper pixels out as stored.
        pixels = 255 - pixels if white_is_zero else pixels
        return Radiograph(pixels, sha256, kind, bits=bits)
    else:
        pixels = _grey_of_colour(image)
    return Radiograph(pixels, sha256, kind, bits=1 if mode == "1" else 8)


def _scale_deep(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Scale deeper than 8 bits to 0..255 by the smallest usual depth that holds the maximum.

    A 12-bit film in a 16-bit file thus comes out as bright as its 8-bit copy would.
    """
    if not np.isfinite(pixels).all() or pixels.min() < 0:
        raise UnreadableRadiograph("pixel_range")
    for bits in (8, 10, 12, 14, 16, 32):
        if pixels.max() <= 2**bits - 1:
            break
    if 0 < pixels.max() <= 1:
        return pixels * np.float32(255), bits
    return pixels * np.float32(255 / (2**bits - 1)), bits


def _grey_of_colour(image: Image.Image) -> np.ndarray:
    """Grey of a film that was saved in colour; refuses pictures whose colour says something."""
    if "A" in image.getbands() or "transparency" in image.info:
        black = Image.new("RGBA", image.size, "black")
        image = Image.alpha_composite(black, image.convert("RGBA"))
    rgb = image.convert("RGB")
    grey = np.asarray(rgb.convert("L"), np.float32)
    small = np.asarray(rgb.resize((128, 128), Image.Resampling.BOX), np.float32).reshape(-1, 3)
    # A tinted film's colours are a straight function of its grey; a photograph's are not.
    level = small.mean(axis=1)
    basis = np.stack([np.ones_like(level), level, level**2 / 255], axis=1)
    fit = basis @ np.linalg.lstsq(basis, small, rcond=None)[0]
    if (np.abs(small - fit).max(axis=1) > 16).mean() > 0.02:
        raise UnreadableRadiograph("colour")
    return grey


def _is_dicom(data: bytes) -> bool:
    if data[128:132] == b"DICM":
        return True
    # Without a preamble a DICOM file begins with an element of group 0002 or 0008.
    return len(data) > 8 and struct.unpack_from("<H", data)[0] in (0x0002, 0x0008)


def _read_dicom(data: bytes, sha256: str) -> Radiograph:
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        _check_dicom(dataset)
        stored = dataset.pixel_array
        pixels = _dicom_to_grey(dataset, stored)
        text = {k: str(dataset.get(k, "")).strip() for k in ("ViewPosition", "BodyPartExamined")}
        bits = int(dataset.get("BitsStored", 8))
        photometric = dataset.PhotometricInterpretation
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
        projection=text["ViewPosition"].upper(),
        body_part=text["BodyPartExamined"].upper(),
    )


def _check_dicom(dataset: pydicom.Dataset) -> None:
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    modality = str(dataset.get("Modality", "")).strip()
    if modality not in MODALITIES:
        raise UnreadableRadiograph(
            "modality", modality=modality or "?", known=", ".join(MODALITIES)
        )
    if "PixelData" not in dataset:
        raise UnreadableRadiograph("dicom_no_pixels")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableRadiograph("multi_frame", frames=int(dataset.NumberOfFrames))
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableRadiograph("photometric", photometric=photometric or "?")
    _check_size(int(dataset.Rows), int(dataset.Columns))


def _dicom_to_grey(dataset: pydicom.Dataset, stored: np.ndarray) -> np.ndarray:
    """Modality LUT, then VOI LUT or window, then MONOCHROME1 (PS3.4 N.2, PS3.3 C.11.1, C.11.2)."""
    values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(np.float32)
    padded = np.zeros(stored.shape, bool)
    if "PixelPaddingValue" in dataset:  # outside the detector; PS3.3 C.7.5.1.1.2
        low = int(dataset.PixelPaddingValue)
        low, high = sorted((low, int(dataset.get("PixelPaddingRangeLimit", low))))
        padded = (stored >= low) & (stored <= high)
    if padded.all():
        padded[:] = False
    low, high = values[~padded].min(), values[~padded].max()
    grey = (values - low) * np.float32(255 / max(float(high - low), 1e-6))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return np.where(padded, 0, grey).clip(0, 255).astype(np.float32)
