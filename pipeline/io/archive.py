"""Films in a ZIP, read in memory and never extracted to disk.

What the archive's directory says is checked before anything is unpacked; what is then unpacked is
bounded whatever the directory said.
"""

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from pipeline.io.radiograph import UnreadableRadiograph

MEGABYTE = 1_000_000
MAX_FILMS = 200
MAX_RECORDS = 2_000  # of the directory: folders and what macOS adds count here, too
MAX_FILE_MB = 100
MAX_TOTAL_MB = 2_000
MAX_RATIO = 100  # unpacked over packed; raw films stay below 10, a bomb reaches 1,000
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits 0, 6 and 13, APPNOTE.TXT 4.4.4
UTF8 = 0x8  # of the second byte of an entry's flags: bit 11, its name is UTF-8
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks the others without bound
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
LITTER = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Source:
    """A file that was dropped or chosen. ``read`` returns its bytes or raises UnreadableRadiograph.

    ``origin``: "upload", "synthetic" or "pacs".
    """

    name: str
    read: Callable[[], bytes]
    origin: str = "upload"


def is_archive(data: bytes) -> bool:
    """Whether these bytes begin as a ZIP does."""
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def files_in(data: bytes) -> list[Source]:
    """The files of a ZIP, in its order; folders and what operating systems add are left out.

    A file that may not be unpacked is there as well: its ``read`` raises with the reason. Raises
    UnreadableRadiograph when the archive as a whole is damaged, empty or too large.
    """
    # Counted before the directory is parsed: every record costs memory, and its count may lie.
    if data.count(zipfile.stringCentralDir) > MAX_RECORDS:
        raise UnreadableRadiograph("archive_records", maximum=MAX_RECORDS)
    try:
        packed = io.BytesIO(data)
        _clear_utf8_flags(packed)
        archive = zipfile.ZipFile(packed)
        entries = [entry for entry in archive.infolist() if not _is_litter(entry)]
    except Exception as error:  # zipfile raises nearly anything on damaged archives
        raise UnreadableRadiograph("archive_damaged") from error
    if not entries:
        raise UnreadableRadiograph("archive_empty")
    if len(entries) > MAX_FILMS:
        raise UnreadableRadiograph("archive_files", count=len(entries), maximum=MAX_FILMS)
    megabytes = sum(entry.file_size for entry in entries) // MEGABYTE
    if megabytes > MAX_TOTAL_MB:
        raise UnreadableRadiograph("archive_large", size=megabytes, maximum=MAX_TOTAL_MB)
    return [Source(_name(entry), partial(_unpack, archive, entry)) for entry in entries]


def _clear_utf8_flags(packed: io.BytesIO) -> None:
    """Clear flag 11 of every record of the directory (APPNOTE.TXT 4.3.12, 4.4.4).

    Python then takes all names for code page 437, in which any bytes are a name; `_name` knows
    better. With the flag, one name that is no UTF-8 would spoil the whole archive.
    """
    data = packed.getvalue()
    end = data.rfind(zipfile.stringEndArchive)
    if end < 0 or end + 16 > len(data):
        return
    (size,) = struct.unpack_from("<L", data, end + 12)
    if size > end:  # ZIP64, or damaged
        return
    place = end - size
    with packed.getbuffer() as changed:
        while (place := data.find(zipfile.stringCentralDir, place, end)) >= 0:
            if place + 46 > end:
                break
            changed[place + 9] &= ~UTF8 & 0xFF
            place += 46 + sum(struct.unpack_from("<3H", data, place + 28))


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name: UTF-8 where its bytes are (macOS sets no flag), else code page 437."""
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        return entry.filename


def _is_litter(entry: zipfile.ZipInfo) -> bool:
    parts = _name(entry).replace("\\", "/").split("/")
    last = parts[-1].lower()
    hidden = last.startswith(".") and set(last) != {"."}
    return entry.is_dir() or "__MACOSX" in parts or last in LITTER or hidden


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    _check(entry)
    try:
        _accept_local_name(archive, entry)
        with archive.open(entry) as packed:
            # The size bounds what zlib may give out; a stream that is longer fails its checksum.
            data = packed.read(entry.file_size + 1)
    except Exception as error:  # as above
        raise UnreadableRadiograph("entry_damaged") from error
    if is_archive(data):
        raise UnreadableRadiograph("entry_nested")
    return data


def _accept_local_name(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Let the entry's own header spell its name in another way than the directory does.

    Programs differ in slashes, in encoding and in its flag; Python compares, and would refuse.
    """
    with archive.fp.getbuffer() as packed:
        start = entry.header_offset
        (length,) = struct.unpack_from("<H", packed, start + 26)
        packed[start + 7] &= ~UTF8 & 0xFF
        entry.orig_filename = bytes(packed[start + 30 : start + 30 + length]).decode("cp437")


def _check(entry: zipfile.ZipInfo) -> None:
    path = _name(entry).replace("\\", "/")
    if path.startswith("/") or path[1:2] == ":" or ".." in path.split("/"):
        raise UnreadableRadiograph("entry_name")
    if entry.flag_bits & ENCRYPTED:
        raise UnreadableRadiograph("entry_encrypted")
    if PurePosixPath(path).suffix.lower() in ARCHIVES:
        raise UnreadableRadiograph("entry_nested")
    if entry.compress_type not in METHODS:
        raise UnreadableRadiograph("entry_method")
    megabytes = entry.file_size // MEGABYTE
    if megabytes >= MAX_FILE_MB:
        raise UnreadableRadiograph("entry_large", size=megabytes, maximum=MAX_FILE_MB)
    if entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        raise UnreadableRadiograph("entry_ratio", maximum=MAX_RATIO)
