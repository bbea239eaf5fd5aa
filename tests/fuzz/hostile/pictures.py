"""Ways to damage PNG, JPEG, TIFF, WebP and BMP that know how these are built."""

import struct
import zlib

import numpy as np

from tests.fuzz.hostile.common import (
    ANY,
    LONGEST,
    chosen,
    cut,
    drop,
    flip,
    noise,
    number,
    overwrite,
    patched,
    rearranged,
    repeat,
)
from tests.fuzz.hostile.seeds import seeds

# -- PNG ----------------------------------------------------------------------------------------

PNG_KINDS = "IHDR PLTE IDAT IEND tRNS gAMA cHRM iCCP sRGB pHYs tEXt zTXt iTXt eXIf acTL fcTL fdAT"


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        chunks.append((kind, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    def whole(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", check)

    return b"\x89PNG\r\n\x1a\n" + b"".join(whole(*chunk) for chunk in chunks)


def png_order(rng, data):
    return png_of(rearranged(rng, png_chunks(data)))


def png_header(rng, data):
    (kind, header), *rest = png_chunks(data)
    field = int(rng.integers(7))
    if field < 2:
        header = patched(header, 4 * field, ">I", number(rng, 31))
    else:
        header = patched(header, 6 + field, "B", int(rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])))
    return png_of([(kind, header), *rest])


def png_length(rng, data):
    """A chunk whose length lies, or whose type or checksum is another."""
    place = 8
    for _ in range(rng.integers(len(png_chunks(data)))):
        place += 12 + struct.unpack_from(">I", data, place)[0]
    if rng.integers(2):
        return patched(data, place, ">I", number(rng, 32))
    kind = chosen(rng, PNG_KINDS.split()).encode()
    return patched(data, place + 4, "4s", kind)


def png_pixels(rng, data):
    """The packed rows unpacked, changed, and packed again."""
    chunks = png_chunks(data)
    rows = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    rows = chosen(rng, [flip, cut, drop, repeat, noise])(rng, rows)
    stream = zlib.compress(rows, int(rng.integers(10)))
    if rng.integers(3) == 0:
        stream = flip(rng, stream)
    kept = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    parts = np.array_split(np.frombuffer(stream, np.uint8), rng.integers(1, 6))
    return png_of([*kept[:-1], *((b"IDAT", part.tobytes()) for part in parts), kept[-1]])


def png_extra(rng, data):
    """Ancillary chunks: text and profiles that unpack to megabytes, EXIF, animation."""
    chunks = png_chunks(data)
    packed = zlib.compress(bytes(int(10 ** rng.uniform(2, 7))))
    exif = tiff_fields(rng, seeds("TIFF")[9])
    frames = struct.pack(">II", number(rng, 32), number(rng, 32))
    control = struct.pack(">IIIIIHHBB", *(number(rng, 32) for _ in range(5)), 1, 1, 3, 3)
    body = {
        b"zTXt": b"Comment\0\0" + packed,
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + packed,
        b"iCCP": b"profile\0\0" + packed,
        b"tEXt": b"Comment\0" + b"x" * int(10 ** rng.uniform(0, 5)),
        b"eXIf": exif,
        b"acTL": frames,
        b"fcTL": control,
        b"fdAT": b"\0\0\0\1" + packed,
        b"tRNS": rng.bytes(int(rng.integers(300))),
        b"PLTE": rng.bytes(int(rng.integers(800))),
        b"pHYs": rng.bytes(9),
        b"gAMA": rng.bytes(4),
    }
    kind = chosen(rng, list(body))
    times = min(int(10 ** rng.uniform(0, 3)), LONGEST // (len(body[kind]) + 1)) or 1
    chunks[1:1] = [(kind, body[kind])] * times
    return png_of(chunks)


# -- JPEG ---------------------------------------------------------------------------------------


def jpeg_segments(data: bytes) -> list[bytes]:
    """Segments with their markers; the coded rows are one with the scan's header."""
    segments, place = [], 2
    while place + 4 <= len(data) and data[place + 1] != 0xDA:
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        segments.append(data[place:end])
        place = end
    scans = data[place:].split(b"\xff\xda")
    return segments + [b"\xff\xda" + scan for scan in scans[1:]]


def jpeg_order(rng, data):
    return b"\xff\xd8" + b"".join(rearranged(rng, jpeg_segments(data)))


def jpeg_frame(rng, data):
    """Size, precision, components and sampling, as the frame header states them."""
    marker = chosen(rng, [b"\xff\xc0", b"\xff\xc2", b"\xff\xc3", b"\xff\xf7"])
    frame = data.index(marker) if marker in data else data.index(b"\xff\xc0")
    offset = int(rng.integers(4, 16))
    if offset in (5, 7):
        return patched(data, frame + offset, ">H", number(rng, 16))
    return patched(data, frame + offset, "B", number(rng, 8))


def jpeg_segment(rng, data):
    """One segment with another marker, length or content."""
    segments = jpeg_segments(data)
    which = int(rng.integers(len(segments)))
    segment = segments[which]
    kind = rng.integers(4)
    if kind == 0:
        segment = patched(segment, 1, "B", int(rng.integers(0xC0, 0xFF)))
    elif kind == 1:
        segment = patched(segment, 2, ">H", number(rng, 16))
    else:
        segment = segment[:4] + chosen(rng, [flip, overwrite, cut, noise])(rng, segment[4:])
    segments[which] = segment
    return b"\xff\xd8" + b"".join(segments)


def jpeg_extra(rng, data):
    """More segments: EXIF that lies, profiles in parts, restart intervals, thousands of scans."""
    bodies = [
        b"\xe1Exif\0\0" + tiff_fields(rng, seeds("TIFF")[9])[:60_000],
        b"\xe2ICC_PROFILE\0" + rng.bytes(30),
        b"\xe2MPF\0" + tiff_fields(rng, seeds("TIFF")[9])[:60_000],
        b"\xedPhotoshop 3.0\x008BIM" + rng.bytes(30),
        b"\xeeAdobe\0" + rng.bytes(7),
        b"\xfe" + bytes(int(rng.integers(1, 60_000))),
        b"\xdd" + struct.pack(">H", number(rng, 16)),
        b"\xdc" + struct.pack(">H", number(rng, 16)),
        b"\xda\1\1\0\0\0\0",
        b"\xda\1\1\1\1\5\x10",
        b"\xc4" + rng.bytes(40),
        b"\xcc" + rng.bytes(4),
    ]
    body = chosen(rng, bodies)
    segment = b"\xff" + body[:1] + struct.pack(">H", len(body) + 1) + body[1:]
    times = min(int(10 ** rng.uniform(0, 4)), LONGEST // len(segment)) or 1
    segments = jpeg_segments(data)
    place = rng.integers(len(segments) + 1)
    segments[place:place] = [segment] * times
    return b"\xff\xd8" + b"".join(segments)


# -- TIFF ---------------------------------------------------------------------------------------

TIFF_TAGS = [254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 284, 288, 292]
TIFF_TAGS += [293, 296, 306, 317, 320, 322, 323, 324, 325, 330, 332, 333, 338, 339, 347, 512, 513]
TIFF_TAGS += [514, 529, 530, 532, 700, 33723, 34377, 34665, 34675, 34853, 37724, 40965]
TIFF_PACKED = [1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34661, 34676, 34677, 34712, 34925, 50000]


def tiff_directory(data: bytes) -> tuple[int, list[tuple[int, int, int, int]]]:
    """Where the first directory lies, and its entries: tag, type, count, value or offset."""
    if data[:4] != b"II*\0":
        raise ValueError("only little-endian TIFF is taken apart")
    start = struct.unpack_from("<I", data, 4)[0]
    (count,) = struct.unpack_from("<H", data, start)
    return start, [struct.unpack_from("<HHII", data, start + 2 + 12 * i) for i in range(count)]


def tiff_of(data: bytes, entries: list[tuple[int, int, int, int]], after: int = 0) -> bytes:
    """The film with another directory, appended."""
    entries = entries[:65_535]
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    directory = struct.pack("<H", len(entries)) + listed + struct.pack("<I", after)
    return patched(data, 4, "<I", len(data)) + directory


def tiff_order(rng, data):
    return tiff_of(data, rearranged(rng, tiff_directory(data)[1]))


def tiff_fields(rng, data):
    """Tags, types, counts and values of some entries; a value may point anywhere."""
    start, entries = tiff_directory(data)
    for _ in range(rng.integers(1, 4)):
        which = int(rng.integers(len(entries)))
        entry = list(entries[which])
        field = int(rng.integers(4))
        if field == 0:
            entry[0] = chosen(rng, TIFF_TAGS)
        elif field == 1:
            entry[1] = int(rng.integers(20))
        elif field == 2:
            entry[2] = number(rng, 32)
        else:
            places = [start, len(data) - 4, number(rng, 32), number(rng, 16), number(rng, 8)]
            entry[3] = chosen(rng, places)
        entries[which] = tuple(entry)
    return tiff_of(data, entries, chosen(rng, [0, 0, 8, len(data), number(rng, 32)]))


def tiff_size(rng, data):
    """Another size, depth or packing than that of the rows."""
    tag = chosen(rng, [256, 257, 258, 259, 262, 277, 278, 284, 317, 322, 323, 339])
    value = chosen(rng, TIFF_PACKED) if tag == 259 else number(rng, chosen(rng, [4, 8, 16, 32]))
    entries = [entry for entry in tiff_directory(data)[1] if entry[0] != tag]
    return tiff_of(data, sorted([*entries, (tag, 4, 1, value)]))


def tiff_extra(rng, data):
    """Many entries that all claim the whole file, directories that point at themselves."""
    _, entries = tiff_directory(data)
    if rng.integers(2):
        loop = [(tag, chosen(rng, [4, 13]), 1, len(data)) for tag in (330, 34665, 34853, 40965)]
        return tiff_of(data, sorted(entries + loop), len(data))
    amount = int(10 ** rng.uniform(1, 4.6))
    size = len(data) + 12 * amount
    more = [(int(tag), 7, size - 16, 8) for tag in rng.integers(65_535, size=amount)]
    return tiff_of(data, sorted(entries + more))


def tiff_strips(rng, data):
    """Offsets and lengths of the rows that lie, in numbers that lie."""
    _, entries = tiff_directory(data)
    tag = chosen(rng, [273, 279, 324, 325])
    amount = int(10 ** rng.uniform(0, 5))
    values = struct.pack("<I", number(rng, 32)) * amount
    entries = [entry for entry in entries if entry[0] != tag]
    entries.append((tag, 4, chosen(rng, [amount, number(rng, 32)]), len(data)))
    return tiff_of(data + values, sorted(entries))


# -- WebP ---------------------------------------------------------------------------------------

WEBP_KINDS = [b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP "]


def webp_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        chunks.append((kind, data[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    return chunks


def webp_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"WEBP" + b"".join(
        struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_order(rng, data):
    return webp_of(rearranged(rng, webp_chunks(data)))


def webp_chunk(rng, data):
    """One chunk with another type or content; sizes of canvas and frames lie at its head."""
    chunks = webp_chunks(data)
    which = int(rng.integers(len(chunks)))
    kind, body = chunks[which]
    if rng.integers(3) == 0:
        kind = chosen(rng, WEBP_KINDS)
    elif rng.integers(2):
        body = overwrite(rng, body[:16]) + body[16:]
    else:
        body = chosen(rng, ANY)(rng, body)
    chunks[which] = kind, body
    return webp_of(chunks)


def webp_length(rng, data):
    place = 4
    for _, body in webp_chunks(data)[: rng.integers(len(webp_chunks(data)) + 1)]:
        place = 16 if place == 4 else place + 8 + len(body) + len(body) % 2
    return patched(data, place, "<I", number(rng, 32))


def webp_extra(rng, data):
    """A canvas of any size, EXIF that lies, frames by the hundred."""
    chunks = [chunk for chunk in webp_chunks(data) if chunk[0] != b"VP8X"]
    sides = (min(number(rng, 24), 2**24 - 1).to_bytes(3, "little") for _ in range(2))
    canvas = bytes([int(rng.integers(256)), 0, 0, 0]) + b"".join(sides)
    exif = (b"EXIF", tiff_fields(rng, seeds("TIFF")[9]))
    frames = [chunk for chunk in chunks if chunk[0] == b"ANMF"] * int(10 ** rng.uniform(0, 3))
    return webp_of([(b"VP8X", canvas), *chunks, *frames, exif])


# -- BMP ----------------------------------------------------------------------------------------

BMP_FIELDS = {2: "<I", 10: "<I", 14: "<I", 18: "<i", 22: "<i", 26: "<H", 28: "<H", 30: "<I"}
BMP_FIELDS |= {34: "<I", 46: "<I", 50: "<I"}


def bmp_header(rng, data):
    for offset in rng.choice(list(BMP_FIELDS), size=rng.integers(1, 4), replace=False).tolist():
        layout = BMP_FIELDS[offset]
        value = number(rng, 8 * struct.calcsize(layout))
        if layout == "<i":
            value = chosen(rng, [value % 2**31, -(value % 2**31)])
        data = patched(data, offset, layout, value)
    return data


def bmp_runs(rng, data):
    """Run lengths that end early, jump, or never fill the film."""
    runs = [
        b"\0\0",
        b"\0\1",
        b"\0\2" + rng.bytes(2),
        b"\0" + rng.bytes(9),
        b"\xff\x80",
        b"\0\2\0\0",
    ]
    body = b"".join(chosen(rng, runs) for _ in range(int(10 ** rng.uniform(1, 4))))
    head = seeds("BMP")[-1]
    head = patched(head, 18, "<ii", number(rng, 16), number(rng, 16))
    head = patched(head, 30, "<I", chosen(rng, [1, 2]))
    return head[: 1078 + int(rng.integers(200))] + body


PICTURES = {
    "PNG": [png_order, png_header, png_length, png_pixels, png_extra],
    "JPEG": [jpeg_order, jpeg_frame, jpeg_segment, jpeg_extra],
    "TIFF": [tiff_order, tiff_fields, tiff_fields, tiff_size, tiff_size, tiff_extra, tiff_strips],
    "WEBP": [webp_order, webp_chunk, webp_length, webp_extra],
    "BMP": [bmp_header, bmp_header, bmp_runs],
}
