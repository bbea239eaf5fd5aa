"""Files made to crash, to hang or to fill the memory: each ends in a film or in a sentence.

All are read in a process of their own, see `tests.fuzz.hostile_files`. Twenty seconds are
allowed here where the long run allows two, so that a busy machine changes nothing.
"""

import io
import stat
import struct
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, get_frame

from pipeline.io import decode_limits
from pipeline.io.archive import files_in
from pipeline.report.tables import printable
from tests.fuzz.hostile import seeds
from tests.fuzz.hostile.dicoms import UNDEFINED, dicom_of, dicom_parts, valued, with_element
from tests.fuzz.hostile.pictures import jpeg_segments, png_chunks, png_of, tiff_directory, tiff_of
from tests.fuzz.hostile_files import Worker, made, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
SECONDS = 20
PIXELS = 0x7FE00010
ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
OPEN_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


@pytest.fixture(scope="module")
def worker():
    with Worker(SECONDS) as started:
        yield started


def outcome(worker: Worker, data: bytes) -> str:
    """What becomes of a file with one film in it; fails when a limit is broken."""
    answer = worker.read(data)
    assert not answer.failure
    (one,) = answer.outcomes
    return one


@pytest.mark.slow
def test_damaged_films_are_read_or_refused():
    tally = run(280, seed=7, seconds=SECONDS)
    assert tally.failures == []
    assert all(tally.files[kind] == 40 and tally.outcomes[kind] for kind in tally.files)


def test_a_damaged_film_is_remade_from_its_seed_and_index():
    assert [made(7, index) for index in range(28)] == [made(7, index) for index in range(28)]


def test_what_the_runner_looks_for_is_found(monkeypatch):
    """A worker that dies, computes for ever, or takes too much is noticed, and replaced."""
    with Worker(0.5) as worker:
        for code, failure in [
            ("import os; os.kill(os.getpid(), 11)", "crash: SIGSEGV"),
            ("while True: pass", "hang: stopped after 0.5 s"),
        ]:
            monkeypatch.setattr(Worker, "command", ["-c", f"print('ready', flush=True)\n{code}"])
            assert worker.read(b"film").failure == failure
        answer = '{"outcomes": [], "failure": "", "cpu": 0.1, "grown": 600}'
        code = f"print('ready', flush=True); input(); print('{answer}', flush=True)"
        monkeypatch.setattr(Worker, "command", ["-c", code])
        assert worker.read(b"film\n").failure == "growth: 600 MB"
        monkeypatch.undo()


# -- pictures ---------------------------------------------------------------------------------


def png_with(kind: bytes, body: bytes, times: int) -> bytes:
    header, *rest = png_chunks(seeds.pngs()[1])
    return png_of([header, *[(kind, body)] * times, *rest])


def constant_png(side: int, colour: int, channels: int, depth: int = 8) -> bytes:
    """A whole film of one grey, packed a thousandfold; ``channels``: bytes of a pixel."""
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + channels * side)) for _ in range(side))
    return png_of([(b"IHDR", header), (b"IDAT", rows + packer.flush()), (b"IEND", b"")])


def jpeg_with(segments: bytes) -> bytes:
    data = seeds.jpegs()[0]
    return data[:2] + segments + data[2:]


def jpeg_of_scans(side: int, times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    *head, last = jpeg_segments(seeds.saved(Image.new("L", (side, side)), "JPEG", progressive=True))
    return b"\xff\xd8" + b"".join(head) + last[:-2] * times + b"\xff\xd9"


def tiff_with(*entries, more: bytes = b"", packing: str = "raw") -> bytes:
    """A grey TIFF with other entries; OFFSET stands for where ``more`` lies."""
    data = seeds.saved(Image.fromarray(seeds.ramp()), "TIFF", compression=packing)
    tags = {entry[0] for entry in entries}
    kept = [entry for entry in tiff_directory(data)[1] if entry[0] not in tags]
    placed = [(*entry[:3], len(data) if entry[3] == OFFSET else entry[3]) for entry in entries]
    return tiff_of(data + more, sorted(kept + placed))


def tiff_float(value: float) -> bytes:
    film = seeds.ramp().astype(np.float32)
    film[0, 0] = value
    return seeds.saved(Image.fromarray(film), "TIFF")


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    data = bytearray(seeds.bmps()[-1][:1078] + runs)
    struct.pack_into("<ii", data, 18, width, height)
    return bytes(data)


def webp_canvas(side: int) -> bytes:
    canvas = bytes(4) + (side - 1).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas
    body += seeds.webps()[1][12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


OFFSET = -1
EXIF = b"\xff\xe1\xff\xffExif\0\0" + bytes(65_535 - 8)
PICTURES = {
    "20,000 x 20,000 pixels in kilobytes": (lambda: constant_png(20_000, 0, 0), "too_large"),
    "30 megapixels of colour in kilobytes": (lambda: constant_png(5_470, 6, 4), "read"),
    "more of colour": (lambda: constant_png(5_480, 2, 3), "too_large"),
    "64 grey megapixels in kilobytes": (lambda: constant_png(8_000, 0, 1), "read"),
    "the same of 16 bits": (lambda: constant_png(8_000, 0, 2, depth=16), "read"),
    "profiles": (
        lambda: png_with(b"iCCP", b"p\0\0" + zlib.compress(bytes(900_000)), 3_000),
        "truncated",
    ),
    "a text of a gigabyte": (
        lambda: png_with(b"zTXt", b"c\0\0" + zlib.compress(bytes(2**20)) * 1_000, 1),
        "read",
    ),
    "texts of 100 megabytes": (
        lambda: png_with(b"zTXt", b"c\0\0" + zlib.compress(bytes(10**6)), 100),
        "truncated",
    ),
    "PNG chunks": (lambda: png_with(b"xxxx", b"", 120_000), "truncated"),
    "JPEG segments": (lambda: jpeg_with(b"\xff\xe5\0\2" * 120_000), "truncated"),
    "EXIF segments": (lambda: jpeg_with(EXIF * 300), "truncated"),
    "JPEG scans": (lambda: jpeg_of_scans(2_000, 2_000), "truncated"),
    "JPEG scans in a TIFF": (
        lambda: tiff_with(
            *[(256, 4, 1, 2_000), (257, 4, 1, 2_000), (259, 3, 1, 7), (278, 4, 1, 2_000)],
            *[(273, 4, 1, OFFSET), (279, 4, 1, len(jpeg_of_scans(2_000, 2_000)))],
            more=jpeg_of_scans(2_000, 2_000),
        ),
        "truncated",
    ),
    "TIFF fractions": (
        lambda: tiff_with((282, 5, 10**6, OFFSET), more=bytes(8 * 10**6)),
        "truncated",
    ),
    "a TIFF tile without end": (
        lambda: tiff_with(
            *[(278, 3, 1, 8), (279, 4, 8, OFFSET), (322, 4, 1, 134_633_420)],
            more=struct.pack("<8I", *[300] * 8),
            packing="tiff_lzw",
        ),
        "truncated",
    ),
    "a TIFF directory that is its own EXIF": (lambda: tiff_with((34665, 4, 1, 8)), "read"),
    "floats beyond 32 bits": (lambda: tiff_float(3e21), "pixel_range"),
    "a float that is infinite": (lambda: tiff_float(np.inf), "pixel_range"),
    "run lengths, padded one by one": (lambda: bmp_of_runs(65_535, 400, b"\0\0"), "too_large"),
    "run lengths of nothing": (lambda: bmp_of_runs(2_000, 2_000, b"\0\0" * 300_000), "truncated"),
    "a canvas of 16,000 x 16,000": (lambda: webp_canvas(16_000), "truncated"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_hostile_pictures(worker, name):
    build, expected = PICTURES[name]
    assert outcome(worker, build()) == expected


# -- DICOM ------------------------------------------------------------------------------------


def dicom_with(*elements, base: int = 0) -> bytes:
    preamble, meta, found = dicom_parts(seeds.seeds("DICOM")[base])
    for element in elements:
        found = with_element(found, element)
    return dicom_of(preamble, meta, found)


def sequence(tag: int, value: bytes, length: int | None = None) -> bytes:
    return dicom_with((tag, b"SQ", value, len(value) if length is None else length))


def nested(depth: int, closed: bool) -> bytes:
    """VOI LUT sequences in each other, so deep that no recursion follows."""
    if not closed:
        head = struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, UNDEFINED)
        return sequence(0x00283010, OPEN_ITEM + (head + OPEN_ITEM) * depth, UNDEFINED)
    parts, length = [], 0
    for _ in range(depth):
        parts.append(struct.pack("<HHI", 0xFFFE, 0xE000, length))
        parts.append(struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, length + 8))
        length += 20
    return sequence(0x00283010, b"".join(reversed(parts[:-1])))


def elements(amount: int) -> bytes:
    """So many empty private elements."""
    tags = ((9 + 2 * (i >> 16), i & 0xFFFF) for i in range(amount))
    return b"".join(struct.pack("<HH2sH", *tag, b"LO", 0) for tag in tags)


def deflated(megabytes: int, side: int = 80) -> bytes:
    """A deflated DX film, and so many megabytes of zeros in an element behind it."""
    film = seeds.dataset(np.zeros((side, side), np.uint16), WindowCenter="9", WindowWidth="20")
    preamble, meta, found = dicom_parts(seeds.written(film))
    meta = with_element(meta, valued(0x00020010, b"UI", seeds.UIDS["deflated"].encode()))
    found.append((0x7FE10010, b"OB", b"", megabytes * 10**6))
    body = dicom_of(b"", [], found)
    packer = zlib.compressobj(1, wbits=-15)
    packed = packer.compress(body)
    zeros = bytes(10**6)
    packed += b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()
    return dicom_of(preamble, meta, []) + packed


def frame_with(base: int, mark: bytes, offset: int, layout: str, *values, stated=(64, 80)) -> bytes:
    """A compressed film whose frame states another size; ``stated``: what the data set does."""
    data = bytearray(seeds.seeds("DICOM")[base])
    struct.pack_into(layout, data, data.rindex(mark) + offset, *values)
    preamble, meta, found = dicom_parts(bytes(data))
    for tag, side in zip((0x00280010, 0x00280011), stated, strict=True):
        found = with_element(found, valued(tag, b"US", struct.pack("<H", side)))
    return dicom_of(preamble, meta, found)


def implicit(*found) -> bytes:
    """Elements of any length, as implicit VR allows for all, in front of a film's."""
    preamble, meta, rest = dicom_parts(seeds.seeds("DICOM")[0])
    for element in found:
        rest = with_element(rest, element)
    uid = seeds.UIDS["implicit"].encode() + b"\0"
    return dicom_of(preamble, with_element(meta, valued(0x00020010, b"UI", uid)), rest, "implicit")


def run_length_overflow() -> bytes:
    """More runs than the film has rows for: a decoder in Rust panics, which is no Exception."""
    header = struct.pack("<16I", 2, 64, 164, *[0] * 13)
    film = seeds.dataset(seeds.ramp(maximum=4095), 12, "rle")
    film.PixelData = encapsulate([header + b"\x81\0" * 2_000])
    film["PixelData"].VR, film["PixelData"].is_undefined_length = "OB", True
    return seeds.written(film)


def progressive_frame() -> bytes:
    frame = jpeg_of_scans(2_000, 2_000)
    return seeds.encapsulated(frame, np.zeros((2_000, 2_000), np.uint8), 8, "jpeg")


NUMBERS = b"1\\" * 1_000_000
DICOMS = {
    "items, length undefined": (
        lambda: sequence(0x00400275, ITEM * 100_000, UNDEFINED),
        "dicom_damaged",
    ),
    "items of a VOI LUT": (lambda: sequence(0x00283010, ITEM * 100_000), "dicom_damaged"),
    "elements in an item": (
        lambda: sequence(0x00400275, OPEN_ITEM + elements(150_000), UNDEFINED),
        "dicom_damaged",
    ),
    "elements in a VOI LUT": (
        lambda: sequence(0x00283010, ITEM[:4] + struct.pack("<I", 1_200_000) + elements(150_000)),
        "dicom_damaged",
    ),
    "deep, length undefined": (lambda: nested(100_000, closed=False), "dicom_damaged"),
    "deep, length defined": (lambda: nested(1_000, closed=True), "read"),
    "fragments": (
        lambda: dicom_with((PIXELS, b"OB", ITEM * 200_000, UNDEFINED), base=13),
        "dicom_damaged",
    ),
    "300 MB deflated": (lambda: deflated(300), "dicom_damaged"),
    "30 megapixels deflated": (lambda: deflated(1, 5_470), "read"),
    "a JPEG 2000 frame of 20,000 x 20,000": (
        lambda: frame_with(17, b"\xff\x4f\xff\x51", 8, ">II8xII", *[20_000] * 4),
        "dicom_damaged",
    ),
    "a JPEG 2000 frame in tiles of one pixel": (
        lambda: frame_with(17, b"\xff\x4f\xff\x51", 24, ">II", 1, 1),
        "dicom_damaged",
    ),
    "a JPEG-LS frame of 20,000 x 20,000": (
        lambda: frame_with(15, b"\xff\xf7", 5, ">HH", 20_000, 20_000),
        "dicom_damaged",
    ),
    "a JPEG frame of 20,000 x 20,000": (
        lambda: frame_with(20, b"\xff\xc0", 5, ">HH", 20_000, 20_000),
        "dicom_damaged",
    ),
    "JPEG scans": (progressive_frame, "dicom_damaged"),
    "run lengths beyond the film": (run_length_overflow, "read"),
    "a million windows": (
        lambda: implicit(valued(0x00281050, b"DS", NUMBERS), valued(0x00281051, b"DS", NUMBERS)),
        "dicom_damaged",
    ),
    "a million character sets": (
        lambda: implicit(valued(0x00080005, b"CS", NUMBERS)),
        "dicom_damaged",
    ),
    "a million rows": (lambda: implicit(valued(0x00280010, b"US", bytes(10**6))), "dicom_damaged"),
    "a window of no number": (
        lambda: dicom_with(valued(0x00281050, b"DS", b"NaN "), base=2),
        "read",
    ),
    "a slope of no number": (
        lambda: dicom_with(valued(0x00281053, b"DS", b"NaN "), base=3),
        "read",
    ),
    "a modality of many": (lambda: dicom_with(valued(0x00080060, b"CS", b"1\\" * 200)), "modality"),
    "a modality that cannot be shown": (
        lambda: dicom_with(valued(0x00080060, b"CS", b"D\x1b[2J\x7f")),
        "modality",
    ),
    "a projection of 400 letters": (
        lambda: dicom_with(valued(0x00185101, b"CS", b"PA" * 200)),
        "read",
    ),
}


@pytest.mark.parametrize("name", DICOMS)
def test_hostile_dicoms(worker, name):
    build, expected = DICOMS[name]
    assert outcome(worker, build()) == expected


def test_jpeg_ls_that_ends_early_reaches_no_decoder():
    """CharLS computes for seconds, and holds Python's lock, beyond the end of a 64 x 80 frame."""
    pixels = next(
        value for tag, _, value, _ in dicom_parts(seeds.seeds("DICOM")[15])[2] if tag == PIXELS
    )
    frame = get_frame(pixels, 0, number_of_frames=1)
    for whole in (frame, frame + bytes(2)):
        codestream, bits = decode_limits.check_frame(whole, 64, 80)
        assert (codestream, bits) == (frame.rstrip(b"\0"), 12)
    for cut in (frame[:714], frame.rstrip(b"\0")[:-1]):
        with pytest.raises(ValueError, match="without an end"):
            decode_limits.check_frame(cut, 64, 80)


# -- ZIP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a\0b.png", "x" * 60_000, "\u202egnp.mlif", "\x1b[2J.png", "con", "a/" * 9_000 + "a"]
)
def test_odd_names_are_labels_and_nothing_else(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (source,) = files_in(seeds.packed({name: b"film"}))
    assert source.read() == b"film"
    assert printable(source.name).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_its_text_and_leads_nowhere(worker):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo("film.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
    (source,) = files_in(packed.getvalue())
    assert source.read() == b"/etc/hostname"
    assert outcome(worker, packed.getvalue()) == "not_an_image"


def test_an_archive_of_bombs_is_read_one_by_one(worker):
    films = {
        "film.png": seeds.pngs()[1],
        "large.png": constant_png(5_470, 6, 4),
        "deflated.dcm": deflated(150),
        "deep.dcm": nested(10_000, closed=False),
    }
    answer = worker.read(seeds.packed(films, zipfile.ZIP_STORED))
    assert not answer.failure
    assert answer.outcomes == ("read", "read", "dicom_damaged", "dicom_damaged")


def test_a_polyglot_is_what_its_first_bytes_say(worker):
    png, jpeg, dicom = seeds.pngs()[1], seeds.jpegs()[0], seeds.seeds("DICOM")[0]
    archive = seeds.packed({"a.png": png, "b.png": png})
    tiff = seeds.saved(Image.fromarray(seeds.ramp()), "TIFF")
    assert outcome(worker, png + archive) == "read"
    assert outcome(worker, jpeg + archive) == "read"
    for preamble in (tiff[:128], b"MZ" + bytes(126), png[:128], archive[4:132]):
        assert outcome(worker, preamble.ljust(128, b"\0") + dicom[128:]) == "read"
    assert outcome(worker, archive[:128] + dicom[128:]) == "archive_damaged"
    assert worker.read(archive + png).outcomes == ("read", "read")  # a ZIP may have a tail
