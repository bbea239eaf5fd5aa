"""A DICOM file to one grey radiograph. Read `_shown` first: the grey-scale pipeline, written once.

What is read, and how, stands in docs/dicom.md. Identity tags never leave this file: a `Radiograph`
carries what the picture needs, no more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array

from pipeline.io import decode_limits, orientation, projection, spacing
from pipeline.io.dicom_header import Header
from pipeline.io.grey_scale import robust_range, strips
from pipeline.io.radiograph import (
    MAX_OTHER_MEGAPIXELS,
    Radiograph,
    UnreadableRadiograph,
    check_size,
)
from pipeline.io.raster import grey_of_colour
from pipeline.text.messages import Message

# Computed, digital and conventional radiography; DR is written for DX by many. OT where the file
# says that it shows a chest.
MODALITIES = ("CR", "DX", "DR", "RG")
MAX_COLOUR_MEGAPIXELS = 16
GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422")
COLOUR += ("YBR_RCT", "YBR_ICT")
RAW = "FOR PROCESSING"
ITEM = b"\xfe\xff\x00\xe0"  # where encapsulated pixels begin (PS3.5 A.4)
CODESTREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")  # how frames begin
TAILS = 0.001  # share of the pixels that is cut off at either end where the file gives no window

# The only elements of a DICOM file that are kept, besides its character set.
ELEMENTS = [
    "Modality",
    "PresentationIntentType",
    "ViewPosition",
    "ViewCodeSequence",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "PatientOrientation",
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
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PresentationLUTShape",
    "PixelData",
    *spacing.ELEMENTS,
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


def read_dicom(data: bytes, sha256: str) -> Radiograph:
    """Decode a DICOM file. Raises UnreadableRadiograph and nothing else, whatever the bytes."""
    try:
        plain = decode_limits.BoundedDicom(decode_limits.inflated(data))
        dataset = pydicom.dcmread(plain, force=True, specific_tags=ELEMENTS)
        return _radiograph(Header(dataset), _transfer_syntax(dataset), sha256)
    except UnreadableRadiograph:
        raise
    except Exception as error:  # decoders raise nearly anything; its text may hold identity tags
        raise UnreadableRadiograph("dicom_damaged") from error


def _transfer_syntax(dataset: pydicom.Dataset) -> pydicom.uid.UID:
    """The file's own, or that in which the parser found it to be written."""
    stated = str(dataset.file_meta.get("TransferSyntaxUID") or "").strip()
    if stated:
        return pydicom.uid.UID(stated)
    little = dataset.original_encoding[1] is not False
    return pydicom.uid.ImplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian


def _radiograph(header: Header, syntax: pydicom.uid.UID, sha256: str) -> Radiograph:
    stated_part = header.code("BodyPartExamined")
    body_part = projection.body_part_of(stated_part, *_concepts(header, "AnatomicRegionSequence"))[
        :16
    ]
    position = projection.projection_of(
        header.code("ViewPosition"), *_concepts(header, "ViewCodeSequence")
    )[:16]
    beside = projection.projection_of(stated_part, (), ())  # some write it there
    position = beside if beside in ("LATERAL", "OBLIQUE") else position
    _check(header, body_part)
    layout = Layout.of(header)
    stored = _stored_pixels(header, layout, syntax)
    if layout.samples > 1:
        pixels = grey_of_colour(stored, 255 / (2**layout.bits - 1))
    else:
        pixels = _shown(header, layout, stored)
    stated = header.codes("PatientOrientation")
    repairs = orientation.repairs_for(stated)
    notes = [Message("oriented", {"orientation": "\\".join(stated)})] if repairs else []
    if header.code("PresentationIntentType") == RAW:
        notes.append(Message("for_processing"))
    return Radiograph(
        orientation.repaired(pixels, repairs) if repairs else pixels,
        sha256,
        "DICOM",
        bits=layout.bits,
        photometric=layout.photometric,
        projection=position,
        body_part=body_part,
        repairs=repairs,
        notes=tuple(notes),
        spacing=spacing.spacing_of(header),
    )


def _concepts(header: Header, keyword: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Values and meanings of the codes in a sequence."""
    items = header.items(keyword)
    values = tuple(item.text("CodeValue") for item in items)
    return values, tuple(item.text("CodeMeaning") for item in items)


def _check(header: Header, body_part: str) -> None:
    modality = header.code("Modality")
    if modality not in MODALITIES and not (modality == "OT" and body_part == "CHEST"):
        raise UnreadableRadiograph(
            "modality", modality=modality or "?", known=", ".join(MODALITIES)
        )
    if not header.value("PixelData"):
        raise UnreadableRadiograph("dicom_no_pixels")
    frames = header.number("NumberOfFrames") or 1
    if frames > 1:
        raise UnreadableRadiograph("multi_frame", frames=int(frames))
    photometric = header.code("PhotometricInterpretation")
    if photometric not in (*GREY, *COLOUR):
        raise UnreadableRadiograph("photometric", photometric=photometric or "?")
    maximum = MAX_OTHER_MEGAPIXELS if photometric in GREY else MAX_COLOUR_MEGAPIXELS
    check_size(header.whole("Rows"), header.whole("Columns"), maximum)


# -- stored pixels ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How the pixels are stored (PS3.5 8.1.1). ``bits`` stored, of which ``high`` is the last."""

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    bits: int
    high: int
    signed: bool
    planar: int

    @classmethod
    def of(cls, header: Header) -> Layout:
        """Raises UnreadableRadiograph where the bits cannot lie as the header says."""
        bits, high = header.whole("BitsStored"), header.number("HighBit")
        layout = cls(
            rows=header.whole("Rows"),
            columns=header.whole("Columns"),
            samples=int(header.number("SamplesPerPixel") or 1),
            photometric=header.code("PhotometricInterpretation"),
            allocated=header.whole("BitsAllocated"),
            bits=bits,
            high=bits - 1 if high is None else int(high),
            signed=header.number("PixelRepresentation") == 1,
            planar=int(header.number("PlanarConfiguration") or 0),
        )
        if not 1 <= layout.bits <= layout.high + 1 <= layout.allocated <= 32:
            raise UnreadableRadiograph(
                "stored_bits", allocated=layout.allocated, stored=bits, high=layout.high
            )
        if layout.samples != (1 if layout.photometric in GREY else 3):
            raise ValueError("another number of samples than the photometric interpretation has")
        return layout

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest value that can be stored."""
        if self.signed:
            return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1

    def value_of(self, word: int) -> int:
        """What 16 bits stand for that are as the pixels are, signed or not."""
        return word - 65536 if self.signed and word > 32767 else word


def _stored_pixels(header: Header, layout: Layout, syntax: pydicom.uid.UID) -> np.ndarray:
    """Pixels as they are stored, (rows, columns[, 3]); raises nearly anything."""
    data, read_bits = header.value("PixelData"), layout.high + 1
    photometric, allocated = layout.photometric, layout.allocated
    size = layout.rows * layout.columns * layout.samples * layout.allocated // 8
    if syntax.is_compressed and not data.startswith(ITEM) and len(data) >= size:
        syntax = pydicom.uid.ExplicitVRLittleEndian  # not compressed, whatever the header says
    if syntax.is_compressed:  # never deflated, that is undone
        frame = _only_frame(data)
        if syntax != pydicom.uid.RLELossless:
            stated = layout.rows, layout.columns, layout.samples
            frame, precision = decode_limits.check_frame(frame, *stated)
            read_bits = _read_bits(layout, precision)
            allocated = 8 if read_bits <= 8 and precision <= 8 else allocated
            if decode_limits.is_colour_transformed(frame):
                photometric = "RGB"  # which it is once decoded, whatever the header says
        data = encapsulate([frame])
    elif data.startswith(ITEM) and header.undefined_length("PixelData"):
        raise ValueError("compressed pixels in a file that says it has none")
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.Rows, made.Columns, made.SamplesPerPixel = layout.rows, layout.columns, layout.samples
    made.PhotometricInterpretation, made.BitsAllocated = photometric, allocated
    made.BitsStored, made.HighBit = read_bits, read_bits - 1
    made.PixelRepresentation = int(layout.signed)
    if layout.samples > 1:
        made.PlanarConfiguration = layout.planar
    made.PixelData = data
    made["PixelData"].VR = "OB" if header.vr("PixelData") == "OB" else "OW"
    options = {"decoding_plugin": DECODERS[syntax]} if syntax.is_compressed else {}
    stored = pixel_array(made, **options)
    if read_bits > layout.bits:  # what lies above and below the stored bits is no part of them
        container = 8 * stored.itemsize
        stored <<= container - 1 - layout.high
        stored >>= container - layout.bits
    return stored.reshape(layout.rows, layout.columns, *[3] * (layout.samples > 1))


def _read_bits(layout: Layout, precision: int) -> int:
    """How many bits to decode: those of a codestream that holds whole words, or the stored ones.

    Raises UnreadableRadiograph where the codestream holds more than those, but not all words' bits.
    """
    if precision > layout.high or precision <= layout.bits:
        return precision if precision > layout.bits else layout.bits
    raise UnreadableRadiograph(
        "stored_bits", allocated=precision, stored=layout.bits, high=layout.high
    )


def _only_frame(data: bytes) -> bytes:
    """All fragments of the one frame; where they begin is in no offset table (PS3.5 A.4).

    The first item is the offset table, whatever is in it, or the frame itself where a file has no
    table.
    """
    if not data.startswith(ITEM):
        return data
    fragments, place = [], 0
    while data[place : place + 4] == ITEM and place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        fragments.append(data[place + 8 : place + 8 + length])
        place += 8 + length
    return b"".join(fragments if _begins_frame(fragments[0]) else fragments[1:])


def _begins_frame(item: bytes) -> bool:
    """Whether it is a codestream's first fragment; that of RLE has a header (PS3.5 G.5)."""
    if item.startswith(CODESTREAMS):
        return True
    segments, first = struct.unpack_from("<II", item.ljust(8, b"\0"))
    return len(item) >= 64 and 1 <= segments <= 15 and first == 64


# -- the grey-scale pipeline ------------------------------------------------------------------


def _shown(header: Header, layout: Layout, stored: np.ndarray) -> np.ndarray:
    """Stored values to levels of 0..255, float32 (rows, columns) (PS3.4 N.2).

    Modality LUT or rescale, then VOI LUT or window, then presentation. A window is kept as it is;
    without one, or where it leaves nothing to see, the scale comes from robust percentiles.
    """
    modality = _modality(header, layout)
    voi = _voi(header, *modality.range)
    padded = _padded(header, layout, stored)
    values = _applied(stored, modality, voi)
    if voi is None or _shows_nothing(values, padded):
        values = _applied(stored, modality, None)
        linear = header.code("PixelIntensityRelationship") == "LIN"
        _stretch(values, padded, linear and header.code("PresentationIntentType") == RAW)
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise UnreadableRadiograph("pixel_range")
    if _is_negative(header, layout, modality):
        np.subtract(255, values, out=values)
    if padded is not None:
        values[padded] = 0
    return values.clip(0, 255, out=values)


def _applied(stored: np.ndarray, modality, voi) -> np.ndarray:
    values = np.empty(stored.shape, np.float32)
    for rows in strips(*stored.shape):
        part = modality(stored[rows])
        values[rows] = part if voi is None else voi(part)
    return values


def _shows_nothing(values: np.ndarray, padded: np.ndarray | None) -> bool:
    """Whether a window leaves less than an eighth of the levels, 0..255, to the whole image."""
    where = True if padded is None else ~padded
    low, high = (float(f(where=where, initial=i)) for f, i in ((values.min, 255), (values.max, 0)))
    return high - low < 32


def _stretch(values: np.ndarray, padded: np.ndarray | None, linear: bool) -> None:
    """To 0..255, in place. ``linear``: levels are in proportion to the dose, whose logarithm shows
    what was passed through (Beer and Lambert)."""
    low, high = robust_range(values, padded, TAILS)
    np.clip(values, low, high, out=values)
    values -= np.float32(low)
    high -= low
    if linear:
        np.log1p(values, out=values)
        high = float(np.log1p(high))
    values *= np.float32(255 / max(high, 1e-6))


def _is_negative(header: Header, layout: Layout, modality) -> bool:
    """Whether the highest value is shown black.

    MONOCHROME1 or Presentation LUT Shape INVERSE, which say the same (PS3.3 C.8.11.3.1.2): both
    together invert once. In raw data the sign of the relation to the dose counts instead, where
    there is one: what lets little through is bright.
    """
    sign = header.number("PixelIntensityRelationshipSign")
    if header.code("PresentationIntentType") == RAW and sign in (1, 65535):
        return (sign == 1) != (isinstance(modality, Rescale) and modality.slope < 0)
    inverse = header.code("PresentationLUTShape") == "INVERSE"
    return layout.photometric == "MONOCHROME1" or inverse


def _padded(header: Header, layout: Layout, stored: np.ndarray) -> np.ndarray | None:
    """Pixels outside the image, bool (rows, columns), if there are any (PS3.3 C.7.5.1.1.2)."""
    value, limit = header.number("PixelPaddingValue"), header.number("PixelPaddingRangeLimit")
    if value is None:
        return None
    low = layout.value_of(int(value))
    low, high = sorted((low, low if limit is None else layout.value_of(int(limit))))
    padded = (stored >= low) & (stored <= high)
    return None if padded.all() or not padded.any() else padded


@dataclass(frozen=True)
class Rescale:
    """Rescale Slope and Intercept (PS3.3 C.11.1). ``stored``: the values that can be stored."""

    slope: float
    intercept: float
    stored: tuple[int, int]

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value that can come out."""
        low, high = sorted(self.slope * v + self.intercept for v in self.stored)
        return low, high

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return values * np.float32(self.slope) + np.float32(self.intercept)


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table (PS3.3 C.11.1.1, C.11.2.1.1). ``first``: the value of its first entry.

    What lies before it gets the first entry, what lies behind the table its last.
    """

    first: int
    entries: np.ndarray
    top: int  # the highest value that the entries' bits can hold

    @property
    def range(self) -> tuple[int, int]:
        return 0, self.top

    def __call__(self, values: np.ndarray) -> np.ndarray:
        if values.dtype.kind == "f":
            values = np.rint(values)
        place = np.clip(values, self.first, self.first + len(self.entries) - 1) - self.first
        return self.entries[place.astype(np.int64)]


@dataclass(frozen=True)
class Window:
    """A window's levels, 0..255 (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

    centre: float
    width: float
    function: str

    def __call__(self, values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32, copy=False)
        if self.function == "SIGMOID":
            steepness = np.float32(-4 / self.width)
            return 255 / (1 + np.exp(((values - self.centre) * steepness).clip(-80, 80)))
        if self.function == "LINEAR_EXACT":
            low, width = self.centre - self.width / 2, self.width
        else:
            low, width = self.centre - 0.5 - (self.width - 1) / 2, self.width - 1
        if width <= 0:  # of one level: a threshold
            return np.where(values > low, np.float32(255), np.float32(0))
        return ((values - np.float32(low)) * np.float32(255 / width)).clip(0, 255)


def _modality(header: Header, layout: Layout) -> Table | Rescale:
    for item in header.items("ModalityLUTSequence"):
        table = _table(item, *layout.range)
        if table:
            return table
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if not slope or intercept is None:  # one without the other says nothing, nor does slope 0
        slope, intercept = 1.0, 0.0
    return Rescale(slope, intercept, layout.range)


def _voi(header: Header, low: float, high: float):
    """The first VOI LUT, else the first window, else None. ``low``, ``high``: of its input."""
    for item in header.items("VOILUTSequence"):
        table = _table(item, low, high)
        if table and table.entries.min() < table.entries.max():
            scaled = table.entries * np.float32(255 / table.top)
            return Table(table.first, scaled, 255)
    function = header.code("VOILUTFunction")
    known = function if function in ("SIGMOID", "LINEAR_EXACT") else "LINEAR"
    least = 1 if known == "LINEAR" else 1e-9  # PS3.3 C.11.2.1.2
    centres, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    for centre, width in zip(centres, widths, strict=False):
        if centre is not None and width is not None and width >= least:
            return Window(centre, width, known)
    return None


def _table(item: Header, low: float, high: float) -> Table | None:
    """A lookup table whose input lies in ``low`` to ``high``; None where there is none.

    Its entries may be 8 bits, two to a word or one, or up to 16 bits, and fewer than it says.
    """
    descriptor, data = item.words("LUTDescriptor"), item.value("LUTData")
    if len(descriptor) < 3 or not data or len(data) < 2:
        return None
    count, first, bits = int(descriptor[0]) or 65536, int(descriptor[1]), int(descriptor[2])
    words = item.words("LUTData")
    packed = len(data) in (count, count + 1) or (
        bits <= 8 and len(data) < 2 * count and (words > 255).any()
    )
    entries = words.astype("<u2").view(np.uint8) if packed else words
    entries = entries[:count].astype(np.float32)
    needed = int(entries.max()).bit_length()
    if not 1 <= bits <= (8 if packed else 16) or bits < needed:
        bits = max(8, needed)
    return Table(_first(first, len(entries), low, high), entries, 2**bits - 1)


def _first(word: int, count: int, low: float, high: float) -> int:
    """The first value that is mapped: signed or not, as its input is, whatever its VR says.

    Where that leaves the whole table out of reach, it is the other way round.
    """
    signed = word - 65536 if word > 32767 else word
    reach = [min(high, first + count - 1) - max(low, first) for first in (word, signed)]
    return signed if reach[1] > reach[0] or (reach[1] == reach[0] and low < 0) else word
