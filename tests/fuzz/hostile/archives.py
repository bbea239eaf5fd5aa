"""Ways to damage ZIPs that know their headers, and the draw of any damaged film."""

import io
import struct
import warnings
import zipfile
import zlib

import numpy as np

from tests.fuzz.hostile.common import ANY, LARGEST, chosen, number, patched, rearranged
from tests.fuzz.hostile.dicoms import DICOM
from tests.fuzz.hostile.pictures import PICTURES
from tests.fuzz.hostile.seeds import FORMATS, seeds

ZIP_NAMES = ["../up.png", "/etc/passwd", "..\\up.png", "C:\\a.png", "a\0b.png", "x" * 60_000]
ZIP_NAMES += [
    "\u202egnp.mlif",
    "con",
    "a/" * 5_000 + "a.png",
    "",
    ".",
    "..",
    "a.zip",
    "\x1b[2J.png",
]
LOCAL = {4: "<H", 6: "<H", 8: "<H", 14: "<I", 18: "<I", 22: "<I", 26: "<H", 28: "<H"}
RECORD = {4: "<H", 6: "<H", 8: "<H", 10: "<H", 16: "<I", 20: "<I", 24: "<I", 28: "<H", 30: "<H"}
RECORD |= {32: "<H", 34: "<H", 36: "<H", 38: "<I", 42: "<I"}
END = {4: "<H", 6: "<H", 8: "<H", 10: "<H", 12: "<I", 16: "<I", 20: "<H"}


def zip_field(rng, data):
    """A field of a local header, of a directory record, or of the end record."""
    mark, fields = chosen(rng, [(b"PK\3\4", LOCAL), (b"PK\1\2", RECORD), (b"PK\5\6", END)])
    places = [i for i in range(len(data)) if data.startswith(mark, i)]
    place, offset = chosen(rng, places), chosen(rng, list(fields))
    layout = fields[offset]
    return patched(data, place + offset, layout, number(rng, 8 * struct.calcsize(layout)))


def zip_records(rng, data):
    """Directory records moved, doubled, left out; the end record counts them, or lies."""
    start, end = data.index(b"PK\1\2"), data.rindex(b"PK\5\6")
    records = [b"PK\1\2" + record for record in data[start:end].split(b"PK\1\2")[1:]]
    records = rearranged(rng, records)
    directory = b"".join(records)
    count = chosen(rng, [len(records) % 65_536, number(rng, 16)])
    tail = patched(data[end:], 8, "<HHI", count, count, len(directory))
    return data[:start] + directory + tail


def zip_entries(rng, data):
    """Archives made anew, with odd names, links, bombs, archives and damaged films in them."""
    target = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(target, "w") as archive:
        for _ in range(rng.integers(1, 5)):
            entry = zipfile.ZipInfo(chosen(rng, [*ZIP_NAMES, "film.png", "film.png", "b.dcm"]))
            mode = chosen(rng, [0o100644, 0o120777, 0o040755, 0o060000, 0o010000])
            entry.external_attr, entry.create_system = mode << 16, int(rng.integers(4))
            entry.extra = chosen(rng, [b"", b"", b"\1\0\x18\0" + rng.bytes(24), rng.bytes(9)])
            content = [
                b"../../etc/passwd",
                bytes(int(10 ** rng.uniform(1, 7))),
                data,
                damaged(rng, chosen(rng, list(FORMATS)[:-1])),
            ]
            method = chosen(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED])
            archive.writestr(entry, chosen(rng, content), method)
    return target.getvalue()


def zip_extra(rng, data):
    """Bytes before, after or between: a comment, a film, another archive, ZIP64 records."""
    other = chosen(rng, seeds(chosen(rng, list(FORMATS))))
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, *(number(rng, 32) for _ in range(6)))
    wide += struct.pack("<4sIQI", b"PK\6\7", 0, number(rng, 32), 1)
    end = data.rindex(b"PK\5\6")
    tricks = [other + data, data + other, data[:end] + wide + data[end:]]
    tricks += [data + rng.bytes(100), data[: end + 20] + b"\xff\xff" + bytes(70_000), data * 2]
    return chosen(rng, tricks)


KNOWING = PICTURES | {
    "DICOM": DICOM,
    "ZIP": [zip_field, zip_field, zip_records, zip_entries, zip_extra],
}


def damaged(rng: np.random.Generator, kind: str) -> bytes:
    """One film of this format with one to three mutations, three in four that know the format."""
    data = chosen(rng, seeds(kind))
    for _ in range(rng.integers(1, 4)):
        mutation = chosen(rng, KNOWING[kind] if rng.integers(4) else ANY)
        try:
            data = mutation(rng, data)
        except (ValueError, IndexError, struct.error, zlib.error):
            continue  # too damaged already to be taken apart
        data = data[:LARGEST]
        if not data:
            break
    return data
