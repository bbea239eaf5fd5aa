"""What is checked of a radiograph's bytes before a decoder sees them.

Decoders believe what a file says of itself: a few kilobytes can make them allocate gigabytes or
work for minutes. Every limit is far above what radiographs need. TooMuch is raised where one is
exceeded, plain ValueError and struct.error where bytes make no sense; `pipeline.io` makes a
sentence of all of them. What led to each check is in tests/io/test_hostile_files.py.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_sequence

MAX_READS = 100_000  # chunks, segments, elements: parsers spend their time on each
MAX_ITEMS = 5_000  # of DICOM sequences, and fragments of a frame
MAX_SCANS = 50  # a progressive JPEG has about 10, and each passes over the whole radiograph
MAX_PROFILES = 16
MAX_EXIFS = 64
MAX_PAGES = 64  # of a TIFF that are looked at
MAX_VALUE = 1_000  # bytes of a DICOM element that is neither pixels nor a lookup table
MAX_TABLE = 2**18  # bytes of a lookup table, which has at most 65,536 entries
MAX_UNPACKED = 100_000_000  # bytes of a deflated DICOM file
MAX_TILES = 4_096  # of a JPEG 2000 radiograph
MAX_VALUES = 100_000  # of a TIFF's tag that has nothing to do with the number of rows
MAX_STRIPS = 1_000_000
MAX_TILE_PIXELS = 30_000_000

PNG = b"\x89PNG\r\n\x1a\n"
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # of a JPEG; none of these occurs within a scan
START, END, SCAN = 0xD8, 0xD9, 0xDA
TILE_PART = 0xFF90  # of JPEG 2000
COD = 0xFF52  # coding style of a JPEG 2000 codestream
FRAMES = (*(0xC0 + i for i in range(16) if i not in (4, 8, 12)), 0xF7)  # SOF0 to SOF15, JPEG-LS
DEFLATED = b"1.2.840.10008.1.2.1.99"
EXPLICIT = b"1.2.840.10008.1.2.1\0"
ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # (FFFE,E000), little and big endian
CHARACTER_SET = {b"\x08\0\5\0": "<", b"\0\x08\0\5": ">"}  # (0008,0005), in either byte order
PIXELS, TABLE = 0x7FE00010, 0x00283006  # Pixel Data, LUT Data
# Modality LUT, VOI LUT, View Code and Anatomic Region Sequence
SEQUENCES = (0x00283000, 0x00283010, 0x00540220, 0x00082218)
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT")
STRIPS = (273, 279, 324, 325)  # offsets and lengths of strips and tiles
BYTES = (1, 2, 6, 7)  # TIFF types of one byte a value, which cost nothing


class TooMuch(ValueError):
    """A file asks for more work or memory than any radiograph needs."""


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
    if data[:8] == PNG and _profiles(data) > MAX_PROFILES:
        raise TooMuch("profiles without end")
    if data[:2] == b"\xff\xd8":
        check_scans(data)


def _profiles(data: bytes) -> int:
    """Chunks of a PNG that hold a colour profile (PNG 1.2, section 3.2)."""
    place, found = len(PNG), 0
    for _ in range(MAX_READS):
        if place + 8 > len(data):
            break
        length, kind = struct.unpack_from(">L4s", data, place)
        found += kind == b"iCCP"
        place += 12 + length
    return found


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment of one JPEG after the other (ITU-T T.81 B.1.1).

    What lies within a segment is none, whatever its bytes are.
    """
    place = 0
    for _ in range(MAX_READS):
        found = MARKER.search(data, place)
        if found is None:
            return
        place, marker = found.start(), found[0][-1]
        yield marker, place
        place += 2
        if marker not in (START, END):
            if place + 2 > len(data):
                return
            place += max(2, struct.unpack_from(">H", data, place)[0])
    raise TooMuch(f"more than {MAX_READS} segments")


def check_scans(data: bytes) -> None:
    """Refuse JPEGs, so many of them, of very many scans or EXIF segments."""
    scans = exifs = 0
    for marker, place in segments(data):
        scans = 0 if marker == END else scans + (marker == SCAN)
        exifs += marker == 0xE1 and data[place + 4 : place + 10] == b"Exif\0\0"
        if scans > MAX_SCANS or exifs > MAX_EXIFS:
            raise TooMuch("scans or EXIF without end")


def jpeg_kind(data: bytes) -> tuple[int, int] | None:
    """Marker of a JPEG's frame header and its bits per sample, if it has one."""
    for marker, place in segments(data):
        if marker in FRAMES and place + 5 <= len(data):
            return marker, data[place + 4]
        if marker == SCAN:
            break
    return None


@dataclass(frozen=True)
class TiffPage:
    """One directory of a TIFF.

    ``tags``: the first value of each of its tags. ``strips``: layout and place of the numbers that
    say where strips and tiles lie, by tag.
    """

    tags: dict[int, int]
    strips: dict[int, tuple[str, int]]

    @property
    def is_whole(self) -> bool:
        """Neither a reduced copy nor a mask of another page (NewSubfileType, SubfileType)."""
        return not self.tags.get(254, 0) & 5 and self.tags.get(255) != 2

    @property
    def kind(self) -> str:
        """What a reader who knows TIFF may want to know about a page that cannot be read."""
        form = {2: "signed", 3: "float"}.get(self.tags.get(339), "")
        bits = f"{self.tags.get(258, 1)} bits {form}".strip()
        return f"{bits}, photometric {self.tags.get(262)}, compression {self.tags.get(259, 1)}"


def main_page(pages: list[TiffPage]) -> int:
    """Which page is read: the first that is whole, or else the largest."""
    whole = (number for number, page in enumerate(pages) if page.is_whole)
    sizes = [page.tags.get(256, 0) * page.tags.get(257, 0) for page in pages]
    return next(whole, sizes.index(max(sizes)))


def tiff_pages(data: bytes) -> list[TiffPage]:
    """The directories of a TIFF (6.0, section 2; BigTIFF alike with wider numbers), checked.

    Raises TooMuch for what would keep Pillow busy, at most `MAX_PAGES` are looked at.
    """
    order, wide = "<" if data[:1] == b"I" else ">", data[2:4] in (b"+\0", b"\0+")
    number = struct.Struct(order + ("Q" if wide else "L"))
    (start,) = number.unpack_from(data, 8 if wide else 4)
    pages, seen, left = [], set(), MAX_READS
    while start and start not in seen and len(pages) < MAX_PAGES:
        seen.add(start)
        try:
            (entries,) = struct.unpack_from(order + ("Q" if wide else "H"), data, start)
        except struct.error:
            if pages:
                break
            raise
        left -= entries
        if left < 0:
            raise TooMuch("tags without end")
        pages.append(_tiff_page(data, start + (8 if wide else 2), entries, order, wide))
        end = start + (8 + 20 * entries if wide else 2 + 12 * entries)
        start = number.unpack_from(data, end)[0] if end + number.size <= len(data) else 0
    return pages


def _tiff_page(data: bytes, start: int, entries: int, order: str, wide: bool) -> TiffPage:
    layout = struct.Struct(order + ("HHQQ" if wide else "HHLL"))
    numbers, strips = {}, {}
    end = min(start + entries * layout.size, len(data) - layout.size + 1)
    for place in range(start, end, layout.size):
        tag, kind, count, value = layout.unpack_from(data, place)
        most = MAX_STRIPS if tag in STRIPS else MAX_VALUES
        if kind not in BYTES and most < count < len(data):  # Pillow skips what the file cannot hold
            raise TooMuch("a tag of very many values")
        letter = {3: "H", 4: "L", 16: "Q"}.get(kind)
        if letter:
            size = struct.calcsize(order + letter)
            inside = count * size <= (8 if wide else 4)
            where = place + (12 if wide else 8) if inside else value
            fits = min(count, max(0, len(data) - where) // size)
            if fits:
                (value,) = struct.unpack_from(order + letter, data, where)
                strips[tag] = f"{order}{fits}{letter}", where
        numbers.setdefault(tag, value)
    tile = [numbers.get(tag) for tag in (322, 323)]
    if tile != [None, None] and (tile[0] or 2**16) * (tile[1] or 2**16) > MAX_TILE_PIXELS:
        raise TooMuch("a tile larger than any radiograph")
    return TiffPage(numbers, {tag: strips[tag] for tag in STRIPS if tag in strips})


def check_page(data: bytes, page: TiffPage) -> None:
    """Refuse a page whose strips or tiles are JPEGs of very many scans."""
    if page.tags.get(259) not in (6, 7):
        return
    left = 2 * len(data)  # strips do not overlap
    for offsets, lengths in ((273, 279), (324, 325)):
        if offsets in page.strips and lengths in page.strips:
            places, sizes = (struct.unpack_from(f, data, p) for f, p in _of(page, offsets, lengths))
            for place, size in zip(places, sizes, strict=False):
                left -= size
                if left < 0:
                    raise TooMuch("strips over each other")
                check_scans(data[place : place + size])


def _of(page: TiffPage, *tags: int) -> list[tuple[str, int]]:
    return [page.strips[tag] for tag in tags]


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
        if order and len(data) == 8:
            if data[4:6] in LONG:  # the length follows
                data += super().read(4)
                self.seek(-4, io.SEEK_CUR)
                length = struct.unpack_from(order + "8xL", data.ljust(12, b"\0"))[0]
                data = data[:8]
            else:
                explicit = data[4:6].isalpha()
                length = struct.unpack_from(order + ("6xH" if explicit else "4xL"), data)[0]
            if length > MAX_VALUE:
                raise TooMuch("very many character sets")
        return data


def check_element(element: RawDataElement | DataElement) -> RawDataElement | DataElement:
    """The element, if its value is short; a sequence is read, within bounds, for what it holds."""
    if not isinstance(element, RawDataElement) or element.tag == PIXELS:
        return element
    value = element.value or b""
    if element.tag in SEQUENCES:
        stream = BoundedDicom(value)
        # A sequence of unknown VR is in implicit VR, little endian (PS3.5 6.2.2, note 2).
        unknown = element.VR == "UN"
        order = unknown or element.is_implicit_VR, unknown or element.is_little_endian
        return DataElement(element.tag, "SQ", read_sequence(stream, *order, len(value), "ascii"))
    if len(value) > (MAX_TABLE if element.tag == TABLE else MAX_VALUE):
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


def check_frame(frame: bytes, rows: int, columns: int, samples: int = 1) -> tuple[bytes, int]:
    """The codestream of a compressed frame, without wrapper and padding, and its bits per sample.

    Refuses one that is not of the size that the data set states: codecs allocate, and some fill,
    what the frame says. Not for RLE, which has no size of its own.
    """
    if frame[4:8] == b"jP  ":
        frame = _contiguous_codestream(frame)
    if frame[:4] == b"\xff\x4f\xff\x51":
        size, precision = _jpeg2000_size(frame, samples)
    elif frame[:2] == b"\xff\xd8":
        check_scans(frame)
        size, precision = _jpeg_size(frame, samples)
    else:
        raise ValueError("no JPEG and no JPEG 2000")
    if size != (rows, columns):
        raise TooMuch(f"the frame claims {size}, the data set {(rows, columns)}")
    # The end of image, or of codestream, which no compressed data contain. What stands behind it
    # is padding (PS3.5 A.4), and decoders take it for more data.
    end = frame.rfind(b"\xff\xd9")
    frame = frame if end < 0 else frame[: end + 2]
    return _with_tile_length(frame) if frame[1] == 0x4F else frame, precision


def _with_tile_length(frame: bytes) -> bytes:
    """A JPEG 2000 codestream whose last tile-part says how long it is.

    It may say 0, "up to the end" (ISO/IEC 15444-1 A.4.2), and decoders then choke on the byte that
    pads a fragment to an even length.
    """
    place = 2
    for _ in range(MAX_READS):
        if place + 10 > len(frame):
            break
        marker, length, _, size = struct.unpack_from(">HHHL", frame, place)
        if marker != TILE_PART:
            place += 2 + length
        elif size:
            place += size
        else:
            end = len(frame) - 2 * frame.endswith(b"\xff\xd9")
            return frame[: place + 6] + struct.pack(">L", end - place) + frame[place + 10 :]
    return frame


def _contiguous_codestream(frame: bytes) -> bytes:
    """What lies in the box jp2c of a JP2 file, ISO/IEC 15444-1 I.4."""
    place = 0
    for _ in range(MAX_READS):
        length, kind = struct.unpack_from(">L4s", frame, place)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", frame, place + 8)
            head = 16
        if kind == b"jp2c":
            return frame[place + head : place + length if length else None]
        if length < head:
            break
        place += length
    raise ValueError("a JP2 file without a codestream")


def _jpeg2000_size(frame: bytes, samples: int) -> tuple[tuple[int, int], int]:
    """Rows and columns, and bits, of the SIZ segment, ISO/IEC 15444-1 A.5.1."""
    width, height, left, top, tile_width, tile_height = struct.unpack_from(">6L", frame, 8)
    (components,) = struct.unpack_from(">H", frame, 40)
    if left or top or components != samples:
        raise ValueError("an offset, or another number of components")
    for component in range(components):
        depth, *steps = struct.unpack_from(">3B", frame, 42 + 3 * component)
        if steps != [1, 1]:
            raise ValueError("components of other sizes")
    if -(-width // tile_width) * -(-height // tile_height) > MAX_TILES:
        raise TooMuch("tiles without end")
    return (height, width), (depth & 0x7F) + 1


def is_colour_transformed(frame: bytes) -> bool:
    """Whether a JPEG 2000 codestream's components are transformed, which decoding undoes.

    ISO/IEC 15444-1 A.6.1: the segment COD stands in the main header.
    """
    place = 2
    while frame[:4] == b"\xff\x4f\xff\x51" and place + 10 <= len(frame):
        marker, length = struct.unpack_from(">HH", frame, place)
        if marker in (COD, TILE_PART):
            return marker == COD and frame[place + 8] == 1
        place += 2 + length
    return False


def _jpeg_size(frame: bytes, samples: int) -> tuple[tuple[int, int], int]:
    """Rows and columns, and bits, of the frame header, ITU-T T.81 B.2.2 and T.87 C.2.2.

    JPEG-LS must have its end, too: CharLS computes for seconds on a small frame without one.
    """
    for marker, place in segments(frame):
        if marker in (SCAN, 0xDE):  # a scan without a frame; hierarchical
            break
        if marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            if components != samples:
                raise ValueError("another number of components")
            if marker == 0xF7 and not frame.rstrip(b"\0\xff").endswith(b"\xff\xd9"):
                raise ValueError("JPEG-LS without an end")
            return (rows, columns), precision
    raise ValueError("no frame header")
