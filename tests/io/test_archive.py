"""Archives: what is refused before it is unpacked, and that nothing else escapes."""

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.io import archive
from pipeline.io.archive import files_in, is_archive
from pipeline.io.radiograph import UnreadableRadiograph


def pack(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return packed.getvalue()


def refusal(read) -> str:
    with pytest.raises(UnreadableRadiograph) as caught:
        read()
    assert caught.value.message.sentence()
    return caught.value.message.code


def patched(data: bytes, **fields: int) -> bytes:
    """The archive with other values in its directory's first record (APPNOTE.TXT 4.3.12)."""
    offsets = {"flag_bits": (8, "<H"), "method": (10, "<H")}
    offsets |= {"packed": (20, "<L"), "unpacked": (24, "<L")}
    changed = bytearray(data)
    record = data.index(zipfile.stringCentralDir)
    for name, value in fields.items():
        offset, kind = offsets[name]
        struct.pack_into(kind, changed, record + offset, value)
    return bytes(changed)


def test_files_come_out_as_they_went_in():
    files = {"a.png": b"one", "folder/été.png": b"two", "empty.png": b""}
    data = pack(files)
    assert is_archive(data)
    assert {source.name: source.read() for source in files_in(data)} == files


def test_folders_and_what_systems_add_are_left_out():
    names = ("d/", "__MACOSX/._a.png", "d/.DS_Store", "Thumbs.db", "d/a.png")
    assert [s.name for s in files_in(pack(dict.fromkeys(names, b"")))] == ["d/a.png"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.png", "a/../../up.png", "..\\up.png", "C:\\a.png", "a/.."]
)
def test_paths_that_lead_out_are_refused(name):
    bad, good = files_in(pack({name: b"x", "good.png": b"y"}))
    assert refusal(bad.read) == "entry_name"
    assert good.read() == b"y"


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_a_password_is_refused(flag):
    (source,) = files_in(patched(pack({"a.png": b"x"}), flag_bits=flag))
    assert refusal(source.read) == "entry_encrypted"


@pytest.mark.parametrize("name", ["inner.zip", "inner.ZIP", "film.png", "films.7z", "films.tar.gz"])
def test_an_archive_in_an_archive_is_refused(name):
    (source,) = files_in(pack({name: pack({"a.png": b"x"})}))
    assert refusal(source.read) == "entry_nested"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_refused(method):
    (source,) = files_in(pack({"a.png": bytes(10_000)}, method))
    assert refusal(source.read) == "entry_method"


def test_a_bomb_is_refused_by_its_ratio_and_never_unpacked(monkeypatch):
    data = pack({"zeros.dcm": bytes(20_000_000)})
    assert len(data) < 30_000
    (source,) = files_in(data)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    assert refusal(source.read) == "entry_ratio"


def test_a_bomb_whose_sizes_lie_is_not_unpacked_further_than_it_says(monkeypatch):
    given_out = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, *arguments):
            self._real = real(*arguments)

        def decompress(self, *arguments):
            given_out.append(self._real.decompress(*arguments))
            return given_out[-1]

        def __getattr__(self, name):
            return getattr(self._real, name)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    (source,) = files_in(patched(pack({"film.dcm": bytes(20_000_000)}), unpacked=50_000))
    assert refusal(source.read) == "entry_damaged"
    assert 0 < sum(map(len, given_out)) <= 50_001


def test_large_files_and_archives_are_refused_by_what_they_say(monkeypatch):
    data = pack({"a.png": b"x"}, zipfile.ZIP_STORED)
    (source,) = files_in(patched(data, unpacked=100_000_000, packed=100_000_000))
    assert refusal(source.read) == "entry_large"
    assert refusal(lambda: files_in(patched(data, unpacked=2_001_000_000))) == "archive_large"
    monkeypatch.setattr(archive, "MAX_TOTAL_MB", 3)
    many = pack({f"{i}.png": bytes(1_000_000) for i in range(5)})
    assert refusal(lambda: files_in(many)) == "archive_large"


def test_overlapping_entries_do_not_unpack_to_more_than_they_may():
    """Fifield's bomb: many records that point at one stream."""
    data = pack({"a.png": bytes(90_000)})
    start = data.index(zipfile.stringCentralDir)
    record, end = data[start : data.index(b"PK\x05\x06")], bytearray(data[-22:])
    struct.pack_into("<HHL", end, 8, 100, 100, 100 * len(record))
    sources = files_in(data[:start] + record * 100 + bytes(end))
    assert len(sources) == 100
    assert {refusal(source.read) for source in sources} <= {"entry_ratio", "entry_damaged"}


def test_numbers_of_files_and_records_are_limited():
    full = pack({f"{i}.png": b"" for i in range(archive.MAX_FILMS)})
    assert len(files_in(full)) == archive.MAX_FILMS
    over = pack({f"{i}.png": b"" for i in range(archive.MAX_FILMS + 1)})
    assert refusal(lambda: files_in(over)) == "archive_files"
    folders = pack({f"{i}/": b"" for i in range(archive.MAX_RECORDS + 1)})
    assert refusal(lambda: files_in(folders)) == "archive_records"


def record(local: bytes, central: bytes, local_flags: int, central_flags: int) -> bytes:
    """An archive of one stored file whose two headers name it as they like."""
    body = b"film"
    common = struct.pack("<HHH", 0, 0, 33) + struct.pack("<III", zlib.crc32(body), 4, 4)
    head = struct.pack("<IHH", 0x04034B50, 20, local_flags) + common
    head += struct.pack("<HH", len(local), 0) + local + body
    entry = struct.pack("<IHHH", 0x02014B50, 0x0314, 20, central_flags) + common
    entry += struct.pack("<HHHHHII", len(central), 0, 0, 0, 0, 0, 0) + central
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), len(head), 0)
    return head + entry + end


NAME = "Röntgen.png".encode()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (record(NAME, NAME, 0, 0), "Röntgen.png"),  # macOS sets no flag
        (record(NAME, NAME, 0, 0x800), "Röntgen.png"),
        (record(NAME, NAME, 0x800, 0), "Röntgen.png"),
        (record(NAME, NAME, 0x800, 0x800), "Röntgen.png"),
        (record(b"R\x94ntgen.png", b"R\x94ntgen.png", 0, 0), "Röntgen.png"),
        (record(b"\xffntgen.png", b"\xffntgen.png", 0x800, 0x800), "\u00a0ntgen.png"),
        (record(b"a\\b.png", b"a/b.png", 0, 0), "a/b.png"),
        (record(NAME, "Röntgen.png".encode("cp437"), 0, 0), "Röntgen.png"),
    ],
)
def test_names_in_any_encoding_with_any_flag(data, name):
    (source,) = files_in(data)
    assert (source.name, source.read()) == (name, b"film")


def test_one_bad_name_spoils_nothing_else():
    good = pack({"a.png": b"one", "b.png": b"two"})
    bad = good.replace(b"b.png", b"\xfe.png")
    start = bad.rindex(zipfile.stringCentralDir)
    bad = bad[: start + 9] + bytes([bad[start + 9] | 0x8]) + bad[start + 10 :]
    assert [source.read() for source in files_in(bad)] == [b"one", b"two"]


@pytest.mark.parametrize("data", [pack({}), pack({"folder/": b"", ".hidden": b""})])
def test_an_archive_without_files_says_so(data):
    assert refusal(lambda: files_in(data)) == "archive_empty"


def test_a_changed_byte_fails_the_checksum():
    data = pack({"a.png": b"film" * 9}, zipfile.ZIP_STORED).replace(b"filmfilm", b"filmfiln", 1)
    (source,) = files_in(data)
    assert refusal(source.read) == "entry_damaged"


def test_half_an_archive_is_damaged():
    data = pack({"a.png": b"x" * 1000})
    assert refusal(lambda: files_in(data[: len(data) // 2])) == "archive_damaged"


CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12)


@given(changes=CHANGES, cut=st.integers(0, 400), extra=st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_nothing_but_a_sentence_escapes(changes, cut, extra):
    data = bytearray(pack({"a.png": b"film" * 20, "b/c.dcm": bytes(range(200))}))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        for source in files_in(bytes(data[: len(data) - cut] + extra)):
            assert len(source.read()) <= archive.MAX_FILE_MB * archive.MEGABYTE
    except UnreadableRadiograph as error:
        assert error.message.sentence()
