"""Films in a ZIP, read in memory and never extracted to disk.

What the archive's directory says is checked before anything is unpacked; what is then unpacked is
bounded whatever the directory said.
"""

import io
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
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks the others without bound
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
LITTER = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Source:
    """A file that was dropped. ``read`` returns its bytes or raises UnreadableRadiograph.

    ``origin``: "upload" or "synthetic".
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
        archive = zipfile.ZipFile(io.BytesIO(data))
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
    return [Source(entry.filename, partial(_unpack, archive, entry)) for entry in entries]


def _is_litter(entry: zipfile.ZipInfo) -> bool:
    parts = entry.filename.replace("\\", "/").split("/")
    last = parts[-1].lower()
    hidden = last.startswith(".") and set(last) != {"."}
    return entry.is_dir() or "__MACOSX" in parts or last in LITTER or hidden


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    _check(entry)
    try:
        with archive.open(entry) as packed:
            # The size bounds what zlib may give out; a stream that is longer fails its checksum.
            data = packed.read(entry.file_size + 1)
    except Exception as error:  # as above
        raise UnreadableRadiograph("entry_damaged") from error
    if is_archive(data):
        raise UnreadableRadiograph("entry_nested")
    return data


def _check(entry: zipfile.ZipInfo) -> None:
    path = entry.filename.replace("\\", "/")
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
