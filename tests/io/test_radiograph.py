"""Every format that is read, every file that is refused."""

import hashlib
import io
import struct
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from pipeline.io.orientation import BY_ORIENTATION, as_stored, repaired
from pipeline.io.radiograph import UnreadableRadiograph, read_radiograph
from tests.fuzz.hostile import dicoms, seeds
from tests.fuzz.hostile.seeds import dataset, encapsulated, written


@pytest.fixture(scope="module")
def film(films) -> np.ndarray:
    return films["clear"][0]


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableRadiograph) as caught:
        read_radiograph(data)
    assert str(caught.value).endswith(".")
    return caught.value.message.code


# -- pictures ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_grey(film, kind):
    data = saved(Image.fromarray(film), kind)
    radiograph = read_radiograph(data)
    np.testing.assert_array_equal(radiograph.pixels, film)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.sha256 == hashlib.sha256(data).hexdigest()
    assert (radiograph.format, radiograph.bits, radiograph.shape) == (kind, 8, film.shape)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})]
)
def test_lossy(film, kind, options):
    radiograph = read_radiograph(saved(Image.fromarray(film), kind, **options))
    assert np.abs(radiograph.pixels - film).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "CMYK"])
def test_grey_saved_in_colour(film, mode):
    image = Image.fromarray(film)
    image = image.convert("RGB").convert(mode) if mode in ("P", "CMYK") else image.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    radiograph = read_radiograph(saved(image, kind))
    tolerance = 50 if mode == "P" else 1  # 256 web colours hold few greys
    assert np.abs(radiograph.pixels - film).max() <= tolerance


def test_one_bit():
    grey = np.zeros((80, 70), np.uint8)
    grey[20:60, 30:50] = 255
    radiograph = read_radiograph(saved(Image.fromarray(grey).convert("1"), "PNG"))
    np.testing.assert_array_equal(radiograph.pixels, grey)
    assert radiograph.bits == 1


@pytest.mark.parametrize("shift", [2, 4, 6, 8])
def test_deep_grey_is_as_bright_as_its_eight_bit_copy(film, shift):
    """10, 12, 14 or 16 bits in a 16-bit file."""
    full = np.maximum(film, 1).astype(np.uint32)
    full[0, 0] = 255
    deep = np.rint(full * (2 ** (8 + shift) - 1) / 255).astype(np.uint16)
    radiograph = read_radiograph(cv2.imencode(".png", deep)[1].tobytes())
    assert radiograph.bits == 8 + shift
    assert np.abs(radiograph.pixels - full).max() < 0.6


def test_white_is_zero_tiff(film):
    """Pillow inverts 8 bits when writing and when reading, and deeper pixels never."""
    white_is_zero = {262: 0}
    shallow = saved(Image.fromarray(film), "TIFF", tiffinfo=white_is_zero)
    np.testing.assert_array_equal(read_radiograph(shallow).pixels, film)
    deep = film.astype(np.uint16) * 257
    deep[0, :2] = 0, 65535
    stored = saved(Image.fromarray(65535 - deep), "TIFF", tiffinfo=white_is_zero)
    np.testing.assert_allclose(read_radiograph(stored).pixels, deep / 257, atol=0.01)


def tiff_of_pages(*pages: np.ndarray, reduced: tuple[int, ...] = ()) -> bytes:
    """A TIFF of these pages; those whose numbers are ``reduced`` say that they are copies."""
    images = [Image.fromarray(page) for page in pages]
    for number, image in enumerate(images):
        image.encoderinfo = {"tiffinfo": {254: int(number in reduced)}}
    buffer = io.BytesIO()
    first = {"tiffinfo": images[0].encoderinfo["tiffinfo"]}
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:], **first)
    return buffer.getvalue()


def test_first_page_of_a_tiff_and_what_is_said_of_the_others(film):
    radiograph = read_radiograph(tiff_of_pages(film, 255 - film))
    np.testing.assert_array_equal(radiograph.pixels, film)
    assert [note.code for note in radiograph.notes] == ["pages"]
    assert "2 pages" in radiograph.notes[0].sentence()


def test_the_whole_page_of_a_tiff_and_not_its_thumbnail(film):
    """Baseline TIFF allows any order (TIFF 6.0, NewSubfileType)."""
    small = np.ascontiguousarray(film[::4, ::4])
    for pages, reduced in [((small, film), (0,)), ((film, small), (1,)), ((small, film), (0, 1))]:
        radiograph = read_radiograph(tiff_of_pages(*pages, reduced=reduced))
        np.testing.assert_array_equal(radiograph.pixels, film)
        assert radiograph.notes == ()


def test_exif_orientation(film):
    wide = film[:300]
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    radiograph = read_radiograph(saved(Image.fromarray(wide), "PNG", exif=exif))
    np.testing.assert_array_equal(radiograph.pixels, np.rot90(wide, -1))


def test_tinted_film_is_grey(film):
    tint = np.stack([film * 0.8, film * 0.9, film * 1.0], -1).astype(np.uint8)
    read_radiograph(saved(Image.fromarray(tint), "PNG"))


def deep_png(pixels: np.ndarray, colour: int) -> bytes:
    """A PNG of 16 bits, (rows, columns, channels)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_sixteen_bits_in_colour_are_as_bright_as_in_grey(film, colour):
    """12 bits in a file of 16; RGB, grey with alpha, RGB with alpha."""
    deep = film.astype(np.uint16) * 16
    channels = [deep] * (1 if colour == 4 else 3)
    if colour > 2:
        channels.append(np.full_like(deep, 65535))
    grey = read_radiograph(cv2.imencode(".png", deep)[1].tobytes())
    radiograph = read_radiograph(deep_png(np.dstack(channels), colour))
    np.testing.assert_allclose(radiograph.pixels, grey.pixels, atol=0.01)
    assert radiograph.bits == grey.bits == 12


def test_what_is_transparent_is_black_in_sixteen_bits(film):
    alpha = np.full(film.shape, 65535, np.uint16)
    alpha[:100] = 0
    pixels = read_radiograph(deep_png(np.dstack([film.astype(np.uint16) * 257, alpha]), 4)).pixels
    assert pixels[:100].max() == 0
    np.testing.assert_allclose(pixels[100:], film[100:], atol=0.01)


def test_sixteen_bit_colour_tiff(film):
    deep = np.dstack([film.astype(np.uint16) * 16] * 3)
    radiograph = read_radiograph(cv2.imencode(".tiff", deep)[1].tobytes())
    np.testing.assert_allclose(radiograph.pixels, film * (255 * 16 / 4095), atol=0.01)


def plain_tiff(pixels: np.ndarray, photometric: int, **tags: int) -> bytes:
    """A TIFF without compression; ``tags``: others by name, see `NUMBERS`."""
    rows, columns, *samples = pixels.shape
    words = {258: 8 * pixels.itemsize, 259: 1, 262: photometric, 277: samples[0] if samples else 1}
    words |= {339: 3 if pixels.dtype.kind == "f" else 1}
    words |= {NUMBERS[name]: value for name, value in tags.items()}
    data = pixels.tobytes()
    if words.get(284) == 2:
        data = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)).tobytes()
    longs = {256: columns, 257: rows, 278: rows}
    planes = words[277] if words.get(284) == 2 else 1
    start = 8 + len(data)
    count = len(words) + len(longs) + 2
    behind = start + 2 + 12 * count + 4
    places, size = [8 + i * len(data) // planes for i in range(planes)], len(data) // planes
    entries = [(tag, 3, 1, struct.pack("<HH", value, 0)) for tag, value in words.items()]
    entries += [(tag, 4, 1, struct.pack("<L", value)) for tag, value in longs.items()]
    if planes == 1:
        entries += [(273, 4, 1, struct.pack("<L", 8)), (279, 4, 1, struct.pack("<L", size))]
    else:
        entries += [(273, 4, planes, struct.pack("<L", behind))]
        entries += [(279, 4, planes, struct.pack("<L", behind + 4 * planes))]
    packed = b"".join(struct.pack("<HHL4s", *entry) for entry in sorted(entries))
    tail = struct.pack(f"<{2 * planes}L", *places, *[size] * planes)
    head = b"II*\0" + struct.pack("<L", start)
    return head + data + struct.pack("<H", count) + packed + bytes(4) + tail


NUMBERS = {"reduced": 254, "orientation": 274, "planes": 284, "extra": 338}


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "deep PNG", "deep colour TIFF"])
def test_every_orientation_in_every_format(kind, code):
    """EXIF 2.3, tag 0112: each is undone once, whoever decodes."""
    seen = seeds.ramp(100, 120)
    undone = {
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: np.rot90,
        7: lambda a: np.rot90(a.T, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = np.ascontiguousarray(undone.get(code, lambda a: a)(seen))
    if kind == "deep colour TIFF":
        deep = np.repeat(stored[..., None], 3, 2).astype(np.uint16) * 257
        data = plain_tiff(deep, 2, orientation=code)
    else:
        exif = Image.Exif()
        exif[0x0112] = code
        image = Image.fromarray(stored.astype(np.uint16) * 257 if "deep" in kind else stored)
        options = {"lossless": True} if kind == "WEBP" else {"quality": 98}
        data = saved(image, kind.split()[-1], exif=exif, **options)
    tolerance = 10 if kind == "JPEG" else 0.6
    np.testing.assert_allclose(read_radiograph(data).pixels, seen, atol=tolerance)


def test_sixteen_bit_colour_in_planes_is_refused_and_not_scrambled(film):
    deep = np.repeat(film[..., None], 3, 2).astype(np.uint16) * 257
    assert refusal(plain_tiff(deep, 2, planes=2)) == "picture_kind"


def test_sixteen_bit_colour_behind_a_thumbnail(film):
    deep = np.repeat(film[..., None], 3, 2).astype(np.uint16) * 16
    whole = bytearray(plain_tiff(deep, 2))
    small = bytearray(plain_tiff(np.ascontiguousarray(film[::4, ::4]), 1, reduced=1))
    # What the whole page's directory says of places moves behind the thumbnail.
    behind = len(small) - 8
    (start,) = struct.unpack_from("<L", whole, 4)
    (entries,) = struct.unpack_from("<H", whole, start)
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", whole, place)[0] == 273:
            struct.pack_into("<L", whole, place + 8, 8 + behind)
    (first,) = struct.unpack_from("<L", small, 4)
    end = first + 2 + 12 * struct.unpack_from("<H", small, first)[0]
    struct.pack_into("<L", small, end, start + behind)
    radiograph = read_radiograph(bytes(small + whole[8:]))
    np.testing.assert_allclose(radiograph.pixels, film * (255 * 16 / 4095), atol=0.01)


@pytest.mark.parametrize("associated", [1, 2])
def test_alpha_counts_once_in_sixteen_bits(film, associated):
    """ExtraSamples 1: the colours have been multiplied by it already."""
    deep = np.repeat(film[..., None], 4, 2).astype(np.uint16) * 257
    deep[0, 0] = 65535
    deep[..., 3] = 32768
    if associated == 1:
        deep[..., :3] //= 2
    pixels = read_radiograph(plain_tiff(deep, 2, extra=associated)).pixels
    np.testing.assert_allclose(pixels[1:], film[1:] / 2, atol=0.6)


@pytest.mark.parametrize("beyond", [1.02, 7.0])
def test_shares_of_one_and_a_pixel_beyond(film, beyond):
    """Resampling carries a few pixels beyond 1; a defect may hold anything."""
    shares = film.astype(np.float32) / 255
    shares[5, 5] = beyond
    pixels = read_radiograph(saved(Image.fromarray(shares), "TIFF")).pixels
    np.testing.assert_allclose(pixels[10:], film[10:], atol=0.01)
    assert pixels[5, 5] == 255


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_an_empty_alpha_is_none(film, kind):
    image = Image.fromarray(film).convert("RGBA")
    image.putalpha(0)
    if kind == "BMP":  # BITMAPV4HEADER with masks, of which the last is alpha's
        pixels = np.flipud(np.dstack([film, film, film, np.zeros_like(film)])).tobytes()
        masks = struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        rows, columns = film.shape
        header = struct.pack("<LiiHHLLiiLL", 108, columns, rows, 1, 32, 3, len(pixels), 0, 0, 0, 0)
        header += masks.ljust(68, b"\0")
        data = struct.pack("<2sLLL", b"BM", 14 + len(header) + len(pixels), 0, 14 + len(header))
        data += header + pixels
    else:
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        data = saved(image, kind, **options)
    np.testing.assert_allclose(read_radiograph(data).pixels, film, atol=0.6)


def with_marker(film: np.ndarray, level: int) -> np.ndarray:
    """A letter burnt in at the upper left, as high as a tenth of the film, and a defect pixel."""
    marked = film.copy()
    marked[20:70, 20:30] = marked[20:30, 30:60] = marked[60:70, 30:60] = level
    marked[-5, -5] = level
    return marked


@pytest.mark.parametrize("kind", ["PNG", "DICOM"])
def test_a_marker_or_a_defect_pixel_sets_no_scale(film, kind):
    deep = film.astype(np.uint16) * 16

    def read(pixels: np.ndarray) -> np.ndarray:
        if kind == "PNG":
            return read_radiograph(cv2.imencode(".png", pixels)[1].tobytes()).pixels
        return read_radiograph(written(dataset(pixels, 16))).pixels

    plain, marked = read(deep), read(with_marker(deep, 65535))
    np.testing.assert_allclose(marked[100:-10], plain[100:-10], atol=2)
    assert marked[25, 25] == marked[-5, -5] == 255


def test_what_is_bright_and_large_is_no_marker(film):
    """A third of the image at full scale counts, and so does a bright half of a range."""
    deep = film.astype(np.uint16) * 16
    deep[:, :200] = 65535
    assert read_radiograph(cv2.imencode(".png", deep)[1].tobytes()).bits == 16


# -- refusals ---------------------------------------------------------------------------------


def test_refused_pictures(film):
    image = Image.fromarray(film)
    assert refusal(b"") == "empty"
    assert refusal(b"not a picture, whatever its name says") == "not_an_image"
    assert refusal(saved(image, "GIF")) == "not_an_image"
    assert refusal(saved(image, "JPEG")[:2000]) == "truncated"
    assert refusal(saved(image, "PNG")[:-3000]) == "truncated"
    assert refusal(saved(image.resize((1, 1)), "PNG")) == "too_small"
    assert refusal(saved(image.resize((300, 63)), "PNG")) == "too_small"


def test_colour_photograph_is_refused():
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (12, 12, 3), np.uint8)
    photo = cv2.resize(patches, (400, 400), interpolation=cv2.INTER_CUBIC)
    assert refusal(saved(Image.fromarray(photo), "PNG")) == "colour"
    assert refusal(saved(Image.fromarray(photo), "JPEG")) == "colour"


def jpeg_with(film: np.ndarray, segment: bytes) -> bytes:
    data = saved(Image.fromarray(film), "JPEG", quality=95)
    return data[:2] + segment + data[2:]


def test_what_lies_within_a_segment_is_no_scan_and_no_profile(film):
    """FF DA, and the names of chunks, occur in profiles, comments and thumbnails."""
    for text in (b"\xff\xda" * 500, b"Exif\0\0" * 200, b"\xff\xd9\xff\xd8" * 99):
        segment = b"\xff\xe2" + struct.pack(">H", len(text) + 2) + text
        assert read_radiograph(jpeg_with(film, segment)).shape == film.shape
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "iCCP" * 99)
    data = saved(Image.fromarray(film), "PNG", pnginfo=info)
    np.testing.assert_array_equal(read_radiograph(data).pixels, film)


def tiff_of_kind(bits: int, form: int, photometric: int, order: str = "<") -> bytes:
    """A plain TIFF of 80 x 90 pixels that Pillow does not know."""
    pixels = bytes(80 * 90 * bits // 8)
    tags = [(256, 4, 90), (257, 4, 80), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 134), (277, 3, 1), (278, 4, 80), (279, 4, len(pixels)), (339, 3, form)]
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(tags))
    for tag, kind, value in tags:
        shown = value << 16 if order == ">" and kind == 3 else value
        data += struct.pack(order + "HHLL", tag, kind, 1, shown)
    return data + bytes(4) + pixels


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (tiff_of_kind(64, 3, 1), "TIFF, 64 bits float, photometric 1"),
        (tiff_of_kind(16, 1, 0, ">"), "TIFF, 16 bits, photometric 0"),
        (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x50\0\x50\1\1\x11\0\xff\xd9", "JPEG, 12 bits"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x50\0\x50\1\1\x11\0\xff\xd9", "JPEG-LS, 8 bits"),
    ],
)
def test_a_kind_that_is_not_read_is_named(data, named):
    with pytest.raises(UnreadableRadiograph, match="greyscale PNG or TIFF") as caught:
        read_radiograph(data)
    assert caught.value.message.code == "picture_kind"
    assert named in str(caught.value)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_size_is_checked_before_decoding():
    assert refusal(png_claiming(20_000, 20_000)) == "too_large"
    assert refusal(png_claiming(8_001, 8_000)) == "too_large"
    assert refusal(png_claiming(8_000, 8_000)) == "truncated"  # 64 megapixels are allowed


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"\x08\0\x05\0"])
)
def test_any_bytes_give_a_sentence(tail, head):
    with pytest.raises(UnreadableRadiograph):
        read_radiograph(head + tail)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_png_reads_or_gives_a_sentence(clear_png, data):
    where = data.draw(st.integers(0, len(clear_png) - 1))
    damaged = bytearray(clear_png)
    damaged[where] ^= data.draw(st.integers(1, 255))
    try:
        assert read_radiograph(bytes(damaged)).pixels.min() >= 0
    except UnreadableRadiograph as error:
        assert str(error)


# -- DICOM ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ramp() -> np.ndarray:
    """uint16 (64, 128): 0 to 4095 from left to right."""
    return np.tile(np.linspace(0, 4095, 128).round().astype(np.uint16), (64, 1))


def test_dicom_without_window_is_stretched(ramp):
    radiograph = read_radiograph(written(dataset(ramp)))
    np.testing.assert_allclose(radiograph.pixels, ramp * (255 / 4095), atol=0.01)
    assert (radiograph.format, radiograph.bits) == ("DICOM", 12)


def test_window_then_monochrome1(ramp):
    window = {"WindowCenter": 1000, "WindowWidth": 500}
    plain = read_radiograph(written(dataset(ramp, **window))).pixels
    assert plain[0, ramp[0] < 740].max() == 0
    assert plain[0, ramp[0] > 1260].min() == 255
    negative = dataset(ramp, PhotometricInterpretation="MONOCHROME1", **window)
    np.testing.assert_allclose(read_radiograph(written(negative)).pixels, 255 - plain, atol=0.01)


def test_modality_lut_comes_before_the_window(ramp):
    rescaled = dataset(ramp, RescaleSlope=2, RescaleIntercept=-1000, RescaleType="US")
    rescaled.WindowCenter, rescaled.WindowWidth = 1000, 1000
    same = dataset(ramp, WindowCenter=1000, WindowWidth=500)
    difference = read_radiograph(written(rescaled)).pixels - read_radiograph(written(same)).pixels
    assert np.abs(difference).max() < 1


def test_voi_lut(ramp):
    lut = pydicom.Dataset()
    lut.LUTDescriptor = [4096, 0, 12]
    lut.LUTData = (np.arange(4096) ** 2 // 4095).astype("<u2").tobytes()
    lut["LUTData"].VR = "OW"
    pixels = read_radiograph(written(dataset(ramp, VOILUTSequence=[lut]))).pixels
    np.testing.assert_allclose(pixels, (ramp / 4095.0) ** 2 * 255, atol=0.2)


def test_pixel_padding_does_not_widen_the_range(ramp):
    padded = ramp.copy() // 2 + 100
    padded[:, :10] = 4095
    pixels = read_radiograph(written(dataset(padded, PixelPaddingValue=4095))).pixels
    assert pixels[:, :10].max() == 0
    assert pixels[:, 10:].max() == 255


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_dicom(ramp, syntax):
    made = dataset(ramp)
    made.compress(syntax)
    np.testing.assert_allclose(
        read_radiograph(written(made)).pixels, ramp * (255 / 4095), atol=0.01
    )


def test_dicom_without_file_meta(ramp):
    made = dataset(ramp)
    buffer = io.BytesIO()
    made.file_meta = FileMetaDataset()
    pydicom.dcmwrite(buffer, made, implicit_vr=True, little_endian=True)
    assert read_radiograph(buffer.getvalue()).shape == ramp.shape
    assert ImplicitVRLittleEndian.is_implicit_VR


def test_projection_and_body_part_are_kept_identity_is_not(ramp):
    data = written(dataset(ramp, ViewPosition="LL", BodyPartExamined="CHEST"))
    radiograph = read_radiograph(data)
    assert (radiograph.projection, radiograph.body_part) == ("LL", "CHEST")
    kept = {k: v for k, v in vars(radiograph).items() if k != "pixels"}
    assert "Nobody" not in str(kept)


@pytest.mark.parametrize(
    ("code", "tags"),
    [
        ("modality", {"Modality": "CT"}),
        ("modality", {"Modality": ""}),
        ("photometric", {"PhotometricInterpretation": "PALETTE COLOR"}),
        ("dicom_damaged", {"PhotometricInterpretation": "RGB"}),
        ("photometric", {"PhotometricInterpretation": "MONOCHROME3"}),
        ("multi_frame", {"NumberOfFrames": 3}),
        ("too_small", {"Rows": 32}),
        ("too_large", {"Rows": 60_000, "Columns": 60_000}),
        ("dicom_damaged", {"PixelData": b"\0\0"}),
    ],
)
def test_refused_dicom(ramp, code, tags):
    assert refusal(written(dataset(ramp, **tags))) == code


# -- DICOM: what is optional, and odd ----------------------------------------------------------


def with_element(data: bytes, tag: int, vr: bytes, value: bytes) -> bytes:
    """The file with one element put in or replaced, whatever its value is."""
    preamble, meta, elements = dicoms.dicom_parts(data)
    return dicoms.dicom_of(
        preamble, meta, dicoms.with_element(elements, dicoms.valued(tag, vr, value))
    )


WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}
OPTIONAL = {
    "VOI LUT Function": (0x00281056, b"CS"),
    "Rescale Slope": (0x00281053, b"DS"),
    "Rescale Intercept": (0x00281052, b"DS"),
    "Pixel Padding Value": (0x00280120, b"US"),
    "Pixel Padding Range Limit": (0x00280121, b"US"),
    "Presentation LUT Shape": (0x20500020, b"CS"),
    "Patient Orientation": (0x00200020, b"CS"),
    "View Position": (0x00185101, b"CS"),
    "Body Part Examined": (0x00180015, b"CS"),
    "Number of Frames": (0x00280008, b"IS"),
    "Planar Configuration": (0x00280006, b"US"),
    "Pixel Intensity Relationship Sign": (0x00281041, b"SS"),
    "Specific Character Set": (0x00080005, b"CS"),
    "Modality LUT Sequence": (0x00283000, b"SQ"),
    "VOI LUT Sequence": (0x00283010, b"SQ"),
    "View Code Sequence": (0x00540220, b"SQ"),
    "High Bit": (0x00280102, b"US"),
    "Pixel Representation": (0x00280103, b"US"),
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_empty_value_counts_as_absent(ramp, name):
    plain = written(dataset(ramp, **WINDOW))
    expected = read_radiograph(plain).pixels
    empty = with_element(plain, *OPTIONAL[name], b"")
    np.testing.assert_array_equal(read_radiograph(empty).pixels, expected)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00281056, b"CS", b"CURVE "),
        (0x00281053, b"DS", b"0 "),
        (0x00281053, b"DS", b"one "),
        (0x00281053, b"DS", b"1e999 "),
        (0x00281052, b"DS", b"NaN "),
        (0x00280008, b"IS", b"one "),
        (0x00080005, b"UN", b"ISO_IR 100"),
        (0x00080005, b"CS", b"LATIN 1 "),
        (0x00080005, b"LO", b"ISO_IR 192"),
        (0x00283000, b"SQ", b"\xfe\xff\x00\xe0\0\0\0\0"),
        (0x00283010, b"SQ", b"\xfe\xff\x00\xe0\xff\xff\0\0"),
        (0x00540220, b"UN", b"nothing "),
    ],
)
def test_a_value_that_makes_no_sense_counts_as_absent(ramp, tag, vr, value):
    plain = written(dataset(ramp, **WINDOW))
    odd = with_element(plain, tag, vr, value)
    np.testing.assert_array_equal(read_radiograph(odd).pixels, read_radiograph(plain).pixels)


@pytest.mark.parametrize(
    ("centre", "width"),
    [("0", "0"), ("2048", "-5"), ("", ""), ("9", "NaN"), ("-9999", "2"), ("9", "99999")],
)
def test_a_window_that_shows_nothing_counts_as_absent(ramp, centre, width):
    plain = read_radiograph(written(dataset(ramp))).pixels
    data = with_element(written(dataset(ramp)), 0x00281050, b"DS", centre.encode())
    data = with_element(data, 0x00281051, b"DS", width.encode())
    np.testing.assert_array_equal(read_radiograph(data).pixels, plain)


def test_a_window_is_kept_as_it_is(ramp):
    """No second stretch: half the range stays half as bright."""
    half = (ramp // 2).astype(np.uint16)
    pixels = read_radiograph(written(dataset(half, **WINDOW))).pixels
    np.testing.assert_allclose(pixels, half * (255 / 4095), atol=0.1)


def test_a_negative_slope_inverts_nothing_else(ramp):
    levels = (ramp >> 4).astype(np.uint8)
    tags = {"RescaleSlope": "-10", "RescaleIntercept": "3000"}
    tags |= {"WindowCenter": "1725", "WindowWidth": "2550"}
    pixels = read_radiograph(written(dataset(levels, 8, **tags))).pixels
    np.testing.assert_allclose(pixels, 255.0 - levels, atol=0.2)


@pytest.mark.parametrize(("bits", "high"), [(10, 11), (10, 15), (12, 15), (9, 12)])
@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_bits_that_are_stored_higher_up(ramp, bits, high, syntax):
    """PS3.5 8.1.1; what lies above and below may be anything, as overlays once were."""
    levels = (ramp >> (12 - bits)).astype(np.uint16)
    shift = high + 1 - bits
    cells = (levels << shift) | np.uint16(2**shift - 1)
    cells |= np.uint16((0xFFFF << (high + 1)) & 0xFFFF)
    made = dataset(cells, bits, HighBit=high, WindowCenter=str(2 ** (bits - 1)))
    made.WindowWidth = str(2**bits)
    if syntax:
        made.compress(syntax, generate_instance_uid=False)
    pixels = read_radiograph(written(made)).pixels
    np.testing.assert_allclose(pixels, levels * (255 / (2**bits - 1)), atol=0.2)


def test_bits_that_cannot_lie_so_are_refused(ramp):
    assert refusal(written(dataset(ramp, 12, HighBit=7))) == "stored_bits"
    assert refusal(written(dataset(ramp, 12, HighBit=16))) == "stored_bits"


def test_grey_in_colour_inside_dicom(film):
    colours = dataset(film[:128, :160], 8, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    colours.PlanarConfiguration, colours.Modality = 0, "OT"
    colours.PixelData = np.repeat(film[:128, :160, None], 3, 2).tobytes()
    radiograph = read_radiograph(written(colours))
    np.testing.assert_allclose(radiograph.pixels, film[:128, :160], atol=0.01)
    blocks = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    colours.PixelData = blocks.repeat(16, 0).repeat(16, 1).tobytes()
    assert refusal(written(colours)) == "colour"


@pytest.mark.parametrize(
    ("modality", "body_part", "read"),
    [("DR", "", True), ("OT", "CHEST PA", True), ("OT", "", False), ("OT", "HAND", False)],
)
def test_modalities_that_are_written_for_radiography(ramp, modality, body_part, read):
    data = written(dataset(ramp, Modality=modality, BodyPartExamined=body_part))
    if read:
        assert read_radiograph(data).shape == ramp.shape
    else:
        assert refusal(data) == "modality"


@pytest.mark.parametrize(
    ("relationship", "sign", "photometric", "negative"),
    [
        ("LOG", 1, "MONOCHROME1", True),
        ("LOG", -1, "MONOCHROME2", False),
        ("LOG", 1, "MONOCHROME2", True),
        ("LIN", 1, "MONOCHROME1", True),
    ],
)
def test_raw_data_are_shown_by_their_relation_to_the_dose(
    ramp, relationship, sign, photometric, negative
):
    tags = {"PresentationIntentType": "FOR PROCESSING", "PhotometricInterpretation": photometric}
    tags |= {"PixelIntensityRelationship": relationship, "PixelIntensityRelationshipSign": sign}
    radiograph = read_radiograph(written(dataset(ramp, **tags)))
    assert [note.code for note in radiograph.notes] == ["for_processing"]
    row = 255 - radiograph.pixels[0] if negative else radiograph.pixels[0]
    expected = np.log1p(ramp[0]) / np.log1p(4095) if relationship == "LIN" else ramp[0] / 4095
    np.testing.assert_allclose(row, expected * 255, atol=0.1)


@pytest.mark.parametrize("orientation", BY_ORIENTATION)
def test_the_usual_display_whatever_the_orientation(film, orientation):
    """Stored in any of the eight ways, the image comes out as it is usually shown."""
    usual = film[:300, :200]
    code = BY_ORIENTATION[orientation]
    deep = as_stored(usual, code).astype(np.uint16) * 16
    tags = {"PatientOrientation": list(orientation), "WindowCenter": "2040", "WindowWidth": "4081"}
    radiograph = read_radiograph(written(dataset(deep, **tags)))
    assert radiograph.repairs == code
    assert [note.code for note in radiograph.notes] == ["oriented"] * bool(code)
    np.testing.assert_allclose(radiograph.pixels, usual, atol=0.1)
    np.testing.assert_array_equal(as_stored(repaired(usual, code), code), usual)


@pytest.mark.parametrize("stated", [["A", "F"], ["", ""], ["LA", "F"], ["R"], ["L", "R"]])
def test_an_orientation_without_left_and_right_changes_nothing(ramp, stated):
    assert read_radiograph(written(dataset(ramp, PatientOrientation=stated))).repairs == ()


def test_zeros_behind_the_file(ramp):
    data = written(dataset(ramp, **WINDOW))
    padded = read_radiograph(data + bytes(512)).pixels
    np.testing.assert_array_equal(padded, read_radiograph(data).pixels)


# -- DICOM: codestreams ------------------------------------------------------------------------


def framed(frame: bytes, pixels: np.ndarray, bits: int, syntax: str) -> np.ndarray:
    tags = {"WindowCenter": str(2 ** (bits - 1)), "WindowWidth": str(2**bits)}
    return read_radiograph(encapsulated(frame, pixels, bits, syntax, **tags)).pixels


@pytest.mark.parametrize("tail", [b"", b"\0", b"\xff", b"\xff\xff", b"\0\0\0"])
def test_jpeg_ls_with_padding(ramp, tail):
    made = dataset(ramp)
    made.compress(JPEGLSLossless, generate_instance_uid=False)
    frame = get_frame(made.PixelData, 0, number_of_frames=1)
    frame = frame[: frame.rindex(b"\xff\xd9") + 2]
    np.testing.assert_allclose(framed(frame + tail, ramp, 12, "jls"), ramp * (255 / 4095), atol=0.1)


@pytest.mark.parametrize("columns", [150, 151, 152, 153])
@pytest.mark.parametrize("boxed", [False, True])
def test_jpeg2000_of_unknown_length_with_padding_and_in_boxes(columns, boxed):
    """Psot 0 (ISO/IEC 15444-1 A.4.2), odd lengths, JP2 around it."""
    levels = seeds.ramp(100, columns)
    data = saved(Image.fromarray(levels), "JPEG2000", no_jp2=not boxed, irreversible=False)
    coded = bytearray(data)
    place = coded.index(b"\xff\x90")
    coded[place + 6 : place + 10] = bytes(4)
    np.testing.assert_allclose(framed(bytes(coded), levels, 8, "j2k"), levels, atol=0.01)


def test_one_frame_has_no_need_of_an_offset_table(ramp):
    levels = (ramp >> 4).astype(np.uint8)
    frame = saved(Image.fromarray(levels), "JPEG", quality=95)
    made = dataset(levels, 8, "jpeg", WindowCenter="128", WindowWidth="256")
    middle = len(frame) // 2 // 2 * 2
    for fragments in ([frame], [frame[:middle], frame[middle:]]):
        value = bytearray(encapsulate([frame], fragments_per_frame=len(fragments)))
        value[8:12] = struct.pack("<I", 4)
        made.PixelData = bytes(value)
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        assert np.abs(read_radiograph(written(made)).pixels - levels).mean() < 2


@pytest.mark.parametrize("syntax", ["rle", "jls", "j2k"])
@pytest.mark.parametrize("table", [None, b"", b"\0\0\0", b"\0\0\0\0\1"])
@pytest.mark.parametrize("parts", [1, 2])
def test_one_frame_whatever_the_offset_table(ramp, syntax, table, parts):
    """None at all, or one of a length that cannot be; fragments of odd lengths."""
    made = dataset(ramp, 12, **WINDOW)
    made.compress(seeds.UIDS[syntax], generate_instance_uid=False)
    frame = get_frame(made.PixelData, 0, number_of_frames=1)
    middle = (len(frame) // 2) | 1
    items = [frame] if parts == 1 else [frame[:middle], frame[middle:]]
    items = items if table is None else [table, *items]
    item = struct.Struct("<4sI")
    made.PixelData = b"".join(item.pack(b"\xfe\xff\0\xe0", len(i)) + i for i in items)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    pixels = read_radiograph(written(made)).pixels
    np.testing.assert_allclose(pixels, ramp * (255 / 4095), atol=0.1)


@pytest.mark.parametrize("syntax", ["rle", "jls", "j2k"])
@pytest.mark.parametrize(("bits", "high"), [(10, 13), (12, 11), (12, 15), (9, 12)])
@pytest.mark.parametrize("signed", [False, True])
def test_codestreams_that_hold_whole_words(ramp, syntax, bits, high, signed):
    """Overlays above, anything below: neither is part of the stored bits (PS3.5 8.1.1)."""
    levels = ramp.astype(np.int64) >> (12 - bits)
    stored = levels - signed * 2 ** (bits - 1)
    shift = high + 1 - bits
    cells = ((stored & (2**bits - 1)) << shift) | (2**shift - 1) | (0xFFFF << (high + 1) & 0xFFFF)
    made = dataset(cells.astype("<u2").view("<i2" if signed else "<u2"), 16)
    made.compress(seeds.UIDS[syntax], generate_instance_uid=False)
    made.BitsStored, made.HighBit = bits, high
    made.WindowCenter, made.WindowWidth = str(0 if signed else 2 ** (bits - 1)), str(2**bits)
    pixels = read_radiograph(written(made)).pixels
    np.testing.assert_allclose(pixels, levels * (255 / (2**bits - 1)), atol=0.3)


def test_a_codestream_of_bits_between_is_refused(ramp):
    made = dataset(ramp, 12)
    made.compress(JPEGLSLossless, generate_instance_uid=False)
    made.BitsStored, made.HighBit = 10, 13
    assert refusal(written(made)) == "stored_bits"


def test_eight_bits_coded_for_words_of_sixteen(ramp):
    levels = (ramp >> 4).astype(np.uint8)
    frame = saved(Image.fromarray(levels), "JPEG", quality=98)
    shown = framed(frame, levels.astype("<u2"), 8, "jpeg")
    np.testing.assert_allclose(shown, levels, atol=8)


@pytest.mark.parametrize("stated", ["RGB", "YBR_RCT", "YBR_FULL"])
def test_a_colour_transform_is_undone_once(ramp, stated):
    """JPEG 2000 says itself whether its components are transformed."""
    levels = (ramp >> 4).astype(np.uint8)
    colours = Image.fromarray(np.repeat(levels[..., None], 3, 2))
    frame = saved(colours, "JPEG2000", no_jp2=True, mct=1)
    made = dataset(levels, 8, "j2k", PhotometricInterpretation=stated, SamplesPerPixel=3)
    made.PlanarConfiguration, made.PixelData = 0, encapsulate([frame])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    np.testing.assert_allclose(read_radiograph(written(made)).pixels, levels, atol=1)


def test_no_number_of_samples_is_one(ramp):
    plain = written(dataset(ramp, **WINDOW))
    empty = with_element(plain, 0x00280002, b"US", b"")
    np.testing.assert_array_equal(read_radiograph(empty).pixels, read_radiograph(plain).pixels)


def test_big_endian_without_a_header(ramp):
    made = dataset(ramp.byteswap(), 12, "big", **WINDOW)
    buffer = io.BytesIO()
    made.file_meta = FileMetaDataset()
    pydicom.dcmwrite(buffer, made, implicit_vr=False, little_endian=False)
    pixels = read_radiograph(buffer.getvalue()).pixels
    np.testing.assert_allclose(pixels, ramp * (255 / 4095), atol=0.1)


def test_pixels_that_are_not_compressed_whatever_the_header_says(ramp):
    made = dataset(ramp, 12, "explicit", **WINDOW)
    expected = read_radiograph(written(made)).pixels
    uid = seeds.UIDS["jls"].encode()
    data = written(made).replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI" + struct.pack("<H", len(uid)) + uid
    )
    np.testing.assert_array_equal(read_radiograph(data).pixels, expected)


def test_dicom_without_pixels(ramp):
    made = dataset(ramp)
    del made.PixelData
    assert refusal(written(made)) == "dicom_no_pixels"


@pytest.mark.data
def test_real_dicom_files(data):
    for path in sorted((data / "dicom").glob("*.dcm")):
        radiograph = read_radiograph(path.read_bytes())
        assert 20 < radiograph.pixels.mean() < 235, path.name
