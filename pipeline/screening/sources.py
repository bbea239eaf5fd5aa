"""Where an archive's radiographs lie: names in, bytes out. No pixels are read here."""

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote_to_bytes

import fsspec
import pydicom

from pipeline.io import decode_limits
from pipeline.io.dicom_header import Header
from pipeline.io.radiograph import UnreadableRadiograph

MAX_FILE_MB = 1_000
HIDDEN = (".", "__MACOSX")
BYTES = "bytes://"  # before a name that is no text, its bytes escaped as in a URL
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def list_images(source: str) -> Iterator[str]:
    """The names of an archive's files, each to be given to `read_image`, in a fixed order.

    ``source``: a folder, read through; a ``.txt`` file with one path or URL a line; a ZIP or tar;
    a DICOMDIR; or a URL that fsspec knows (``s3://``, ``gs://``, ``https://``, ``file://``), of a
    file or of a folder. Hidden files are left out. Raises FileNotFoundError where nothing is there
    and ValueError for an archive that is damaged.
    """
    for name in _names(source):
        try:
            name.encode()
            yield name
        except UnicodeEncodeError:  # a file system or a tar allows any bytes
            yield BYTES + quote(os.fsencode(name))


def _names(source: str) -> Iterator[str]:
    if "://" in source:
        yield from _at_url(source)
        return
    path = Path(source)
    if path.is_dir():
        yield from _below(path)
    elif not path.is_file():
        raise FileNotFoundError(f"{source} is neither a folder nor a file nor a URL.")
    elif path.suffix.lower() == ".txt":
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (line.strip() for line in lines if line.strip())
    elif path.name.upper() == "DICOMDIR":
        yield from _referenced(path)
    elif path.suffix.lower() == ".zip":
        yield from _members("zip", path, _names_in_zip)
    elif path.name.lower().endswith(TARS):
        yield from _members("tar", path, _names_in_tar)
    else:
        yield str(path)


def read_image(name: str) -> bytes:
    """The bytes of one of `list_images`. Raises UnreadableRadiograph."""
    try:
        with _opened(name) as opened:
            data: bytes = opened.read(MAX_FILE_MB * 1_000_000 + 1)
    except UnreadableRadiograph:
        raise
    except Exception as error:  # file systems raise nearly anything; their texts hold names
        raise UnreadableRadiograph("unreadable_path", reason=type(error).__name__) from error
    if len(data) > MAX_FILE_MB * 1_000_000:
        raise UnreadableRadiograph("upload_large", megabytes=MAX_FILE_MB)
    return data


def _opened(name: str) -> IO[bytes]:
    if name.startswith(BYTES):
        name = os.fsdecode(unquote_to_bytes(name.removeprefix(BYTES)))
    kind, separated, place = name.partition("://")
    member, _, archive = place.rpartition("::")
    if kind == "zip" and archive:
        return _zip(archive).open(member)
    if kind == "tar" and archive:
        packed, members = _tar(archive)
        opened = packed.extractfile(members[member])
        if opened is not None:
            return opened
    if separated:
        return fsspec.open(name, "rb").open()
    if not Path(name).is_file():
        raise UnreadableRadiograph("no_file")  # a pipe or a device would never answer
    return Path(name).open("rb")


# An archive's directory is read once, not again for every file of it.
@lru_cache(maxsize=1)
def _zip(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(maxsize=1)
def _tar(path: str) -> tuple[tarfile.TarFile, dict[str, tarfile.TarInfo]]:
    archive = tarfile.open(path)  # noqa: SIM115
    return archive, {member.name: member for member in archive if member.isfile()}


def _below(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if not _is_hidden(path.relative_to(folder).parts) and not path.is_dir():
            yield str(path)


def _at_url(url: str) -> Iterator[str]:
    system, path = fsspec.core.url_to_fs(url)
    if not system.isdir(path):
        yield url
        return
    root = path.rstrip("/")
    for name in sorted(system.find(root)):
        if not _is_hidden(name.removeprefix(root).strip("/").split("/")):
            yield system.unstrip_protocol(name)


def _referenced(path: Path) -> Iterator[str]:
    """The files that a DICOMDIR names, PS3.3 F.3: below its own folder and nowhere else."""
    try:
        records = pydicom.dcmread(path).DirectoryRecordSequence
        names = [r.ReferencedFileID for r in records if "ReferencedFileID" in r]
    except Exception as error:
        raise ValueError(f"{path} is no DICOMDIR that can be read.") from error
    root = path.parent.resolve()
    for name in names:
        parts = [name] if isinstance(name, str) else list(name)
        file = root.joinpath(*parts).resolve()
        if file.is_relative_to(root):
            yield str(file)


def _members(kind: str, path: Path, names_in: Callable[[Path], list[str]]) -> Iterator[str]:
    try:
        names = names_in(path)  # in its own order: a packed tar is slow to read backwards
    except (OSError, zipfile.BadZipFile, tarfile.TarError, ValueError) as error:
        raise ValueError(f"{path} is damaged: unpack it and name the folder.") from error
    if "::" in str(path):
        raise ValueError(f"{path} has '::' in its name, which parts names here: rename it.")
    for name in names:
        if not _is_hidden(name.split("/")):
            yield f"{kind}://{name}::{path}"


def _names_in_zip(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [entry.filename for entry in archive.infolist() if not entry.is_dir()]


def _names_in_tar(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return [member.name for member in archive if member.isfile()]


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(HIDDEN) for part in parts if part)


def acquisition(data: bytes) -> tuple[str, str]:
    """Scanner (maker and model) and month of a DICOM file, "" where it does not say.

    No day: with the place, a day would say who it was.
    """
    tags = ["Manufacturer", "ManufacturerModelName", "AcquisitionDate", "StudyDate"]
    try:
        plain = decode_limits.BoundedDicom(decode_limits.inflated(data))
        header = Header(pydicom.dcmread(plain, specific_tags=tags, stop_before_pixels=True))
        scanner = " ".join(filter(None, (header.text(tags[0]), header.text(tags[1]))))
        date = header.text("AcquisitionDate") or header.text("StudyDate")
    except Exception:  # no DICOM file, or a damaged one: its own row says which
        return "", ""
    return scanner, f"{date[:4]}-{date[4:6]}" if date[:6].isdigit() and len(date) >= 6 else ""
