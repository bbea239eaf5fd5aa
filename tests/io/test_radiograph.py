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
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from pipeline.io.radiograph import UnreadableRadiograph, read_radiograph
from tests.fuzz.hostile.seeds import dataset, written


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


def test_first_page_of_a_tiff(film):
    other = Image.fromarray(255 - film)
    data = saved(Image.fromarray(film), "TIFF", save_all=True, append_images=[other])
    np.testing.assert_array_equal(read_radiograph(data).pixels, film)


def test_exif_orientation(film):
    wide = film[:300]
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    radiograph = read_radiograph(saved(Image.fromarray(wide), "PNG", exif=exif))
    np.testing.assert_array_equal(radiograph.pixels, np.rot90(wide, -1))


def test_tinted_film_is_grey(film):
    tint = np.stack([film * 0.8, film * 0.9, film * 1.0], -1).astype(np.uint8)
    read_radiograph(saved(Image.fromarray(tint), "PNG"))


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
    lut.LUTDescriptor = [4096, 0, 16]
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
        ("photometric", {"PhotometricInterpretation": "RGB"}),
        ("photometric", {"PhotometricInterpretation": "MONOCHROME3"}),
        ("multi_frame", {"NumberOfFrames": 3}),
        ("too_small", {"Rows": 32}),
        ("too_large", {"Rows": 60_000, "Columns": 60_000}),
        ("dicom_damaged", {"PixelData": b"\0\0"}),
    ],
)
def test_refused_dicom(ramp, code, tags):
    assert refusal(written(dataset(ramp, **tags))) == code


def test_dicom_without_pixels(ramp):
    made = dataset(ramp)
    del made.PixelData
    assert refusal(written(made)) == "dicom_no_pixels"


@pytest.mark.data
def test_real_dicom_files(data):
    for path in sorted((data / "dicom").glob("*.dcm")):
        radiograph = read_radiograph(path.read_bytes())
        assert 20 < radiograph.pixels.mean() < 235, path.name
