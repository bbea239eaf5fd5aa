"""Bytes in, one grey radiograph out: PNG, JPEG, BMP, TIFF, WebP and DICOM."""

import hashlib
import struct
import warnings
from dataclasses import dataclass

import numpy as np

from pipeline.io.orientation import QUARTER_TURNS
from pipeline.io.spacing import Spacing
from pipeline.text.messages import Message

MIN_SIDE = 64
MAX_MEGAPIXELS = 64  # of a grey picture of 1, 8 or 16 bits, which takes up to 7 bytes each
# Of any other, which takes up to 16. The largest detectors, 43 x 43 cm at 88 micrometres, have 24.
MAX_OTHER_MEGAPIXELS = 30


class UnreadableRadiograph(ValueError):
    """Why these bytes are no radiograph we can read; ``message`` holds code and sentence."""

    def __init__(self, code: str, **values):
        self.message = Message(code, values)
        super().__init__(self.message.sentence())


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One radiograph, ready for the graph.

    ``pixels``: float32 (rows, columns) in 0..255, bright is dense, as on the light box.
    ``sha256``: of the file's bytes. ``bits``: bits per pixel that the file held. ``projection``,
    ``body_part``: as a DICOM file states them in one wording or another (see
    `pipeline.io.projection`), otherwise empty. ``repairs``: codes of
    `pipeline.io.orientation.REPAIRS`, what was done to the stored pixels, in order. ``notes``: what
    a reader should know about how the file was read. ``spacing``: of the pixels as they are stored,
    None where the file does not say; see `shown_spacing`.
    """

    pixels: np.ndarray
    sha256: str
    format: str
    bits: int = 8
    photometric: str = ""
    projection: str = ""
    body_part: str = ""
    repairs: tuple[str, ...] = ()
    notes: tuple[Message, ...] = ()
    spacing: Spacing | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the radiograph as it is shown."""
        return self.pixels.shape

    @property
    def shown_spacing(self) -> Spacing | None:
        """The spacing of ``pixels``, which may be turned."""
        turns = sum(code in QUARTER_TURNS for code in self.repairs)
        return self.spacing.turned() if self.spacing and turns % 2 else self.spacing

    @property
    def key(self) -> str:
        """What tells this radiograph from others, and from itself repaired in another way."""
        return "-".join((self.sha256, *self.repairs))


def read_radiograph(data: bytes) -> Radiograph:
    """Decode one radiograph.

    Raises UnreadableRadiograph with a sentence that says what is wrong and what to do: nothing
    else escapes, whatever the bytes are.
    """
    from pipeline.io import dicom, raster  # which build on what is defined above

    if not data:
        raise UnreadableRadiograph("empty")
    sha256 = hashlib.sha256(data).hexdigest()
    read = dicom.read_dicom if _is_dicom(data) else raster.read_raster
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn about oddities that we judge ourselves
        return read(data, sha256)


def check_size(rows: int, columns: int, maximum: int = MAX_OTHER_MEGAPIXELS) -> None:
    """Raise UnreadableRadiograph for an image too small to see a lung, or too large to hold."""
    if min(rows, columns) < MIN_SIDE:
        raise UnreadableRadiograph("too_small", rows=rows, columns=columns, minimum=MIN_SIDE)
    if rows * columns > maximum * 1_000_000:
        raise UnreadableRadiograph("too_large", rows=rows, columns=columns, maximum=maximum)


def _is_dicom(data: bytes) -> bool:
    if data[128:132] == b"DICM":
        return True
    # Without a preamble a DICOM file begins with an element of group 0002 or 0008, the latter in
    # either byte order.
    if len(data) <= 8:
        return False
    return struct.unpack_from("<H", data)[0] in (2, 8) or (
        data[:2] == b"\0\x08" and data[4:6].isalpha()
    )
