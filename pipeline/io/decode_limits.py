"""What is checked of a film's bytes before a decoder sees them.

Decoders believe what a file says of itself: a few kilobytes can make them allocate gigabytes or
work for minutes. Every limit here is far above what films need. TooMuch is raised where one is
exceeded, plain ValueError and struct.error where bytes make no sense; `io.radiograph` makes a
sentence of all of them. What led to each check is in tests/test_hostile_files.py.
"""

import io
import struct
import zlib

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_sequence

MAX_READS = 100_000  # chunks, segments, elements: parsers spend their time on each
MAX_ITEMS = 5_000  # of DICOM sequences, and fragments of a frame
MAX_SCANS = 50  # a progressive JPEG has about 10, and each passes over the whole film
MAX_VALUE = 1_000  # bytes of a DICOM element that is neither pixels nor a lookup table
MAX_UNPACKED = 100_000_000  # bytes of a deflated DICOM file
MAX_TILES = 4_096  # of a JPEG 2000 film
MAX_VALUES = 100_000  # of a TIFF's tag that has nothing to do with the number of rows
MAX_STRIPS = 1_000_000
MAX_TILE_PIXELS = 30_000_000

DEFLATED = b"1.2.840.10008.1.2.1.99"
EXPLICIT = b"1.2.840.10008.1.2.1\0"
ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # (FFFE,E000), little and big endian
CHARACTER_SET = {b"\x08\0\5\0": "<", b"\0\x08\0\5": ">"}  # (0008,0005), in either byte order
PIXELS, TABLES = 0x7FE00010, (0x00283000, 0x00283010)  # Modality and VOI LUT Sequence
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT")
STRIPS = (273, 279, 324, 325)  # offsets and lengths of strips and tiles
BYTES = (1, 2, 6, 7)  # TIFF types of one byte a value, which cost nothing


class TooMuch(ValueError):
    """A file asks for more work or memory than any film needs."""


class Bounded(io.BytesIO):
    """A file in memory that may be read from `MAX_READS` times."""

    def __init__(self, data: bytes):
        super().__init__(data)
        self._left = MAX_READS

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise TooMuch(f"more than {MAX_READS} parts")
        return super().read(size)


# -- pictures ---------------------------------------------------------------------------------


def check_picture(data: bytes) -> None:
    """Refuse pictures that would keep Pillow busy while it opens them."""
    # Each profile is unpacked, each EXIF segment is appended to a copy of those before it.
    if data.count(b"iCCP") > 16 or data.count(b"Exif\0\0") > 64:
        raise TooMuch("profiles or EXIF without end")
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check_tags(data)


def check_scans(data: bytes, parts: int = 1) -> None:
    """Refuse JPEGs, so many of them, of very many scans; FF DA cannot occur within a scan."""
    if data.count(b"\xff\xda") > MAX_SCANS + parts:
        raise TooMuch("scans without end")


def _check_tags(data: bytes) -> None:
    """The first directory of a TIFF (6.0, section 2; BigTIFF alike with wider numbers)."""
    order, wide = "<" if data[:1] == b"I" else ">", data[2:4] in (b"+\0", b"\0+")
    start = struct.unpack_from(order + ("Q" if wide else "L"), data, 8 if wide else 4)[0]
    (entries,) = struct.unpack_from(order + ("Q" if wide else "H"), data, start)
    layout = struct.Struct(order + ("HHQQ" if wide else "HHLL"))
    start += 8 if wide else 2
    numbers, parts = {}, 0
    end = min(start + entries * layout.size, len(data) - layout.size + 1)
    for place in range(start, end, layout.size):
        tag, kind, count, value = layout.unpack_from(data, place)
        most = MAX_STRIPS if tag in STRIPS else MAX_VALUES
        if kind not in BYTES and most < count < len(data):  # Pillow skips what the file cannot hold
            raise TooMuch("a tag of very many values")
        if kind == 3 and order == ">":  # a short number lies at the left of its field
            value >>= 48 if wide else 16
        numbers.setdefault(tag, value)
        parts = max(parts, count) if tag in STRIPS else parts
    tile = [numbers.get(tag) for tag in (322, 323)]
    if tile != [None, None] and (tile[0] or 2**16) * (tile[1] or 2**16) > MAX_TILE_PIXELS:
        raise TooMuch("a tile larger than any film")
    if numbers.get(259) in (6, 7):
        check_scans(data, parts)


# -- DICOM ------------------------------------------------------------------------------------


def inflated(data: bytes) -> bytes:
    """A deflated DICOM file as one in explicit VR, little endian; any other as it is (PS3.5 A.5).

    Then checked for sequences of more items than can be read in a moment.
    """
    syntax, end = _transfer_syntax(data)
    if syntax == DEFLATED:
        unpacker = zlib.decompressobj(-15)
        body = unpacker.decompress(data[end:], MAX_UNPACKED)
        if unpacker.unconsumed_tail:
            raise TooMuch(f"unpacks to more than {MAX_UNPACKED} bytes")
        element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(EXPLICIT)) + EXPLICIT
        data = data[:132] + element + body
    if max(map(data.count, ITEMS)) > MAX_ITEMS:
        raise TooMuch("a sequence of very many items")
    return data


class BoundedDicom(Bounded):
    """The same for a DICOM parser, which also looks up each character set that is named."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        order = CHARACTER_SET.get(data[:4]) if size == 8 else None
        if order:
            explicit = data[4:6].isalpha()
            length = struct.unpack_from(order + ("6xH" if explicit else "4xL"), data)[0]
            if length > MAX_VALUE or (explicit and data[4:6] != b"CS"):
                raise TooMuch("very many character sets")
        return data


def check_element(element: RawDataElement | DataElement) -> RawDataElement | DataElement:
    """The element, if its value is short; a sequence is read, within bounds, for what it holds."""
    if not isinstance(element, RawDataElement) or element.tag == PIXELS:
        return element
    value = element.value or b""
    if element.tag in TABLES:
        stream = BoundedDicom(value)
        order = element.is_implicit_VR, element.is_little_endian
        return DataElement(element.tag, "SQ", read_sequence(stream, *order, len(value), "ascii"))
    if len(value) > MAX_VALUE:
        raise TooMuch(f"an element of {len(value)} bytes")
    return element


def _transfer_syntax(data: bytes) -> tuple[bytes, int]:
    """Transfer syntax UID of the file meta information, and where that ends (PS3.10 7.1)."""
    place = 132 if data[128:132] == b"DICM" else 0
    found = b""
    for _ in range(MAX_READS):
        if data[place : place + 2] != b"\2\0" or len(data) < place + 12:
            break
        element, vr, length = struct.unpack_from("<H2sH", data, place + 2)
        place += 8
        if vr in LONG:
            (length,) = struct.unpack_from("<L", data, place)
            place += 4
        if element == 0x10:
            found = data[place : place + length].rstrip(b"\0 ")
        place += length
    return found, place


def check_frame(frame: bytes, rows: int, columns: int) -> None:
    """Refuse a compressed frame that is not of the size that the data set states.

    Codecs allocate, and some fill, what the frame says. RLE has no size of its own.
    """
    if frame[:4] == b"\xff\x4f\xff\x51":
        size = _jpeg2000_size(frame)
    elif frame[:2] == b"\xff\xd8":
        check_scans(frame)
        size = _jpeg_size(frame)
    else:
        raise ValueError("no JPEG and no JPEG 2000")
    if size != (rows, columns):
        raise TooMuch(f"the frame claims {size}, the data set {(rows, columns)}")


def _jpeg2000_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns of the SIZ segment, ISO/IEC 15444-1 A.5.1."""
    width, height, left, top, tile_width, tile_height = struct.unpack_from(">6L", frame, 8)
    components, _, across, down = struct.unpack_from(">H3B", frame, 40)
    if left or top or (components, across, down) != (1, 1, 1):
        raise ValueError("an offset, or more than one component")
    if -(-width // tile_width) * -(-height // tile_height) > MAX_TILES:
        raise TooMuch("tiles without end")
    return height, width


def _jpeg_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns of the frame header, ITU-T T.81 B.2.2 and T.87 C.2.2.

    JPEG-LS must have its end, too: CharLS computes for seconds on a small frame without one.
    """
    place = 2
    while place < len(frame):
        filler, marker, length = struct.unpack_from(">BBH", frame, place)
        if filler != 0xFF or marker in (0xDA, 0xDE):  # a scan without a frame; hierarchical
            raise ValueError("no frame header")
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):
            _, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            if components != 1:
                raise ValueError("more than one component")
            if marker == 0xF7 and not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
                raise ValueError("JPEG-LS without an end")
            return rows, columns
        place += 2 + length
    raise ValueError("no frame header")
