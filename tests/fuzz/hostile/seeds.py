"""Small valid films in every format that is read: what `hostile_files` damages.

All are drawn here, 64 to 128 pixels a side; none comes from a patient.
"""

import io
import struct
import zipfile
from functools import cache, partial

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

UIDS = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big": "1.2.840.10008.1.2.2",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg12": "1.2.840.10008.1.2.4.51",
    "lossless": "1.2.840.10008.1.2.4.57",
    "lossless1": "1.2.840.10008.1.2.4.70",
    "jls": "1.2.840.10008.1.2.4.80",
    "jls near": "1.2.840.10008.1.2.4.81",
    "j2k": "1.2.840.10008.1.2.4.90",
    "j2k lossy": "1.2.840.10008.1.2.4.91",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "mpeg": "1.2.840.10008.1.2.4.100",
}
BITS = {bits: 2**bits - 1 for bits in (8, 12, 16)}


def ramp(rows: int = 64, columns: int = 80, maximum: int = 255) -> np.ndarray:
    """A slope with a disc on it; uint8, or uint16 where ``maximum`` needs it."""
    row, column = np.mgrid[:rows, :columns]
    level = (row + column) / (rows + columns)
    level[(row - rows // 2) ** 2 + (column - columns // 3) ** 2 < rows * 4] *= 0.5
    return (level * maximum).astype(np.uint8 if maximum < 256 else np.uint16)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = 6, "synthetic", {0x9003: "2020:01:01 00:00:00"}
    return exif


def pngs() -> list[bytes]:
    grey, save = Image.fromarray(ramp()), partial(saved, kind="PNG")
    modes = [save(grey.convert(mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    other = Image.fromarray(255 - ramp())
    return [
        *modes,
        save(Image.fromarray(ramp(maximum=65535))),
        save(grey, exif=_exif(), icc_profile=b"profile" * 40, dpi=(300, 300)),
        save(grey, transparency=0),
        save(grey, save_all=True, append_images=[other]),
        _deep_colour(".png", 3),
        _deep_colour(".png", 4),
    ]


def _deep_colour(kind: str, channels: int) -> bytes:
    """A grey picture in colour, of 16 bits."""
    pixels = np.dstack([ramp(maximum=4095)] * channels)
    return cv2.imencode(kind, pixels)[1].tobytes()


def jpegs() -> list[bytes]:
    grey, save = Image.fromarray(ramp(), "L"), partial(saved, kind="JPEG")
    return [
        save(grey),
        save(grey, progressive=True, exif=_exif()),
        save(grey.convert("RGB"), subsampling=2, icc_profile=b"profile" * 40),
        save(grey.convert("RGB"), progressive=True, comment=b"synthetic"),
        save(grey.convert("CMYK")),
        save(grey, restart_marker_rows=1, optimize=True),
        saved(grey, "MPO", save_all=True, append_images=[grey]),
    ]


def tiffs() -> list[bytes]:
    grey, save = Image.fromarray(ramp()), partial(saved, kind="TIFF")
    methods = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "tiff_lzma", "zstd")
    packed = []
    for method in methods:
        try:
            packed.append(save(grey.convert("RGB"), compression=method))
        except (OSError, KeyError):  # a codec that this Pillow was built without
            continue
    return [
        *packed,
        *(save(grey.convert(mode)) for mode in ("1", "L", "LA", "P", "RGB", "CMYK", "I", "F")),
        save(grey.convert("1"), compression="group4"),
        save(grey.convert("1"), compression="group3"),
        save(Image.fromarray(ramp(maximum=65535))),
        _deep_colour(".tiff", 3),
        save(Image.fromarray(ramp(maximum=65535)), compression="tiff_lzw", tiffinfo={262: 0}),
        save(grey, tiffinfo={262: 0}, exif=_exif()),
        save(grey, big_tiff=True),
        save(grey, save_all=True, append_images=[grey]),
        save(grey, tiffinfo={278: 8}, compression="tiff_lzw"),
    ]


def webps() -> list[bytes]:
    grey, save = Image.fromarray(ramp()), partial(saved, kind="WEBP")
    return [
        save(grey),
        save(grey, lossless=True),
        save(grey.convert("RGBA"), exif=_exif(), icc_profile=b"profile" * 40, xmp=b"<x/>"),
        save(grey.convert("RGBA"), lossless=True),
        save(grey, save_all=True, append_images=[Image.fromarray(255 - ramp())], duration=100),
    ]


def bmps() -> list[bytes]:
    grey = Image.fromarray(ramp())
    plain = [saved(grey.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")]
    runs = b"".join(bytes([80, level, 0, 0]) for level in range(64)) + b"\0\1"
    header = struct.pack("<2sIHHI", b"BM", 1078 + len(runs), 0, 0, 1078)
    header += struct.pack("<IiiHHIIiiII", 40, 80, 64, 1, 8, 1, len(runs), 2835, 2835, 256, 0)
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    return [*plain, header + palette + runs]


# -- DICOM ------------------------------------------------------------------------------------


def dataset(pixels: np.ndarray, bits: int = 12, syntax: str = "explicit", **tags):
    """A DX data set that names what a radiograph needs; ``syntax``: one of UIDS."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UIDS[syntax]
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.PatientName, made.Modality, made.ViewPosition = "Nobody^Known", "DX", "PA"
    made.BodyPartExamined, made.SpecificCharacterSet = "CHEST", "ISO_IR 100"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * pixels.itemsize, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def written(made: pydicom.Dataset) -> bytes:
    target = io.BytesIO()
    made.save_as(target, enforce_file_format=True)
    return target.getvalue()


def encapsulated(frame: bytes, pixels: np.ndarray, bits: int, syntax: str, **tags) -> bytes:
    made = dataset(pixels, bits, syntax, **tags)
    made.PixelData = encapsulate([frame])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return written(made)


def lookup_table(entries: int = 4096, first: int = 0, bits: int = 16) -> pydicom.Dataset:
    table = pydicom.Dataset()
    table.LUTDescriptor = [entries, first, bits]
    table.LUTData = (np.arange(entries) * 8).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    table.ModalityLUTType = "US"
    return table


def lossless_jpeg(pixels: np.ndarray, bits: int) -> bytes:
    """ITU-T T.81 H: each pixel less the one to its left, all Huffman codes 5 bits long."""
    deep = pixels.astype(np.int64)
    before = np.concatenate([np.full((1, 1), 2 ** (bits - 1)), deep[:-1, :1]])
    text = []
    for difference in np.diff(deep, axis=1, prepend=before).ravel().tolist():
        size = abs(difference).bit_length()
        text.append(f"{size:05b}")
        if 0 < size < 16:  # 32768 needs no more bits (table H.2)
            text.append(f"{difference + (difference < 0) * (2**size - 1):0{size}b}")
    joined = "".join(text)
    joined += "1" * (-len(joined) % 8)
    packed = int(joined, 2).to_bytes(len(joined) // 8).replace(b"\xff", b"\xff\0")
    frame = struct.pack(">2sHBHHB3s", b"\xff\xc3", 11, bits, *pixels.shape, 1, b"\1\x11\0")
    table = b"\xff\xc4" + struct.pack(">HB", 36, 0) + bytes([0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\1\1\0\1\0\0"
    return b"\xff\xd8" + frame + table + scan + packed + b"\xff\xd9"


def dicoms() -> list[bytes]:
    shallow, deep, full = (ramp(maximum=maximum) for maximum in BITS.values())
    signed = deep.astype(np.int16) - 1000
    jpeg = saved(Image.fromarray(shallow), "JPEG")
    made = [
        dataset(deep),
        dataset(shallow, 8, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0),
        dataset(deep, WindowCenter=["1000", "2000"], WindowWidth=["500", "900"]),
        dataset(deep, RescaleSlope="2", RescaleIntercept="-1000", RescaleType="US"),
        dataset(signed, 16, WindowCenter="0", WindowWidth="800", VOILUTFunction="SIGMOID"),
        dataset(deep, VOILUTSequence=[lookup_table(), lookup_table(256, 100, 8)]),
        dataset(deep, ModalityLUTSequence=[lookup_table()], WindowCenter="9", WindowWidth="99"),
        dataset(full, 16, "implicit"),
        dataset(deep, 12, "implicit", VOILUTSequence=[lookup_table()]),
        dataset(deep.byteswap(), 12, "big"),
        dataset(deep, 12, "deflated"),
        dataset(deep, NumberOfFrames="1"),
    ]
    nested = pydicom.Dataset()
    nested.ViewCodeSequence = [pydicom.Dataset()]
    nested.ViewCodeSequence[0].CodeValue = "R-10206"
    made.append(dataset(deep, RequestAttributesSequence=[nested, nested], PixelPaddingValue=0))
    for syntax, pixels, bits in [
        ("rle", deep, 12),
        ("rle", shallow, 8),
        ("jls", deep, 12),
        ("jls near", shallow, 8),
        ("j2k", deep, 12),
        ("j2k", shallow, 8),
    ]:
        packed = dataset(pixels, bits)
        options = {"jls_error": 2} if syntax == "jls near" else {}
        packed.compress(UIDS[syntax], generate_instance_uid=False, **options)
        made.append(packed)
    bare = io.BytesIO()
    headless = dataset(deep)
    headless.file_meta = FileMetaDataset()
    pydicom.dcmwrite(bare, headless, implicit_vr=True, little_endian=True)
    return [
        *map(written, made),
        bare.getvalue(),
        encapsulated(jpeg, shallow, 8, "jpeg"),
        encapsulated(jpeg, shallow, 8, "jpeg12"),
        encapsulated(lossless_jpeg(full, 16), full, 16, "lossless1"),
        encapsulated(lossless_jpeg(deep, 12), deep, 12, "lossless"),
        encapsulated(saved(Image.fromarray(shallow), "JPEG2000"), shallow, 8, "j2k"),
        written(_in_colour(shallow)),
        written(_raw(deep)),
    ]


def _in_colour(pixels: np.ndarray):
    made = dataset(pixels, 8, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    made.PlanarConfiguration = 0
    made.PixelData = np.repeat(pixels[..., None], 3, 2).tobytes()
    return made


def _raw(pixels: np.ndarray):
    """Raw detector data, stored mirrored and high up in their words, the view as a code."""
    view = pydicom.Dataset()
    view.CodeValue, view.CodingSchemeDesignator = "272479007", "SCT"
    view.CodeMeaning = "postero-anterior"
    made = dataset((pixels << 2).astype(np.uint16), 12, HighBit=13, ViewCodeSequence=[view])
    made.PresentationIntentType, made.PatientOrientation = "FOR PROCESSING", ["R", "F"]
    made.PixelIntensityRelationship, made.PixelIntensityRelationshipSign = "LIN", 1
    return made


# -- ZIP --------------------------------------------------------------------------------------


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return target.getvalue()


def zips() -> list[bytes]:
    png, dicom, jpeg = seeds("PNG")[1], seeds("DICOM")[0], seeds("JPEG")[0]
    inner = packed({"a.png": png})
    return [
        packed({"a.png": png, "b/c.dcm": dicom, "été.jpg": jpeg}),
        packed({"a.png": png, "a.jpg": jpeg}, zipfile.ZIP_STORED),
        packed({f"{number}.png": png for number in range(6)}),
        packed({"inner.zip": inner, "film.png": inner, "empty.png": b""}),
        packed({"a.dcm": dicom, "folder/": b"", "__MACOSX/._a.dcm": b"x", "a.txt": b"text"}),
        packed({"a.png": png}, zipfile.ZIP_BZIP2),
    ]


FORMATS = {
    "PNG": pngs,
    "JPEG": jpegs,
    "TIFF": tiffs,
    "WEBP": webps,
    "BMP": bmps,
    "DICOM": dicoms,
    "ZIP": zips,
}


@cache
def seeds(kind: str) -> list[bytes]:
    """The valid films of one format, always the same."""
    return FORMATS[kind]()
