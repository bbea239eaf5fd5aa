"""The grey-scale pipeline against two others: pydicom's and dcmtk's.

A table of generated files: depths, signs, photometric interpretations, transfer syntaxes, lookup
tables and windows of every form. What each shows agrees with what we show, up to rounding.
"""

import io
import os
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from pipeline.io.radiograph import read_radiograph
from tests.fuzz.hostile.seeds import (
    UIDS,
    dataset,
    encapsulated,
    lossless_jpeg,
    ramp,
    saved,
    written,
)


def stored(bits: int, signed: bool = False) -> np.ndarray:
    """A picture that uses all levels of so many bits."""
    levels = ramp(maximum=65535).astype(np.int64)
    levels = (levels - levels.min()) * (2**bits - 1) // np.ptp(levels)
    if signed:
        return (levels - 2 ** (bits - 1)).astype("i1" if bits == 8 else "<i2")
    return levels.astype("u1" if bits == 8 else "<u2")


def table(entries: np.ndarray, first: int, bits: int, kind: str = "words") -> Dataset:
    """A lookup table; ``kind``: "words", "packed" two to a word, or a list of "US"."""
    made = Dataset()
    made.LUTDescriptor = [len(entries) % 65536, first % 65536, bits]
    made["LUTDescriptor"].VR = "US"
    if kind == "US":
        made.add_new("LUTData", "US", entries.tolist())
    else:
        made.add_new("LUTData", "OW", entries.astype("u1" if kind == "packed" else "<u2").tobytes())
    made.ModalityLUTType = "US"
    return made


def square(count: int, top: int) -> np.ndarray:
    """A curve from 0 to ``top`` in so many entries."""
    return np.rint(np.linspace(0, 1, count) ** 2 * top).astype(np.int64)


# -- the table: name, data set ----------------------------------------------------------------


def depths() -> dict[str, Callable[[], Dataset]]:
    """A window over three quarters of the range of 8 to 16 bits, signed or not."""
    made = {}
    for bits in range(8, 17):
        for signed in (False, True):
            centre = 0 if signed else 2 ** (bits - 1)
            window = {"WindowCenter": str(centre), "WindowWidth": str(3 * 2 ** (bits - 2))}
            pixels = stored(bits, signed)
            name = f"{bits} bits{', signed' if signed else ''}"
            made[name] = lambda p=pixels, b=bits, w=window: dataset(p, b, **w)
    return made


DEEP, SHALLOW = stored(12), stored(8)
WINDOW = {"WindowCenter": "1500", "WindowWidth": "2000"}
NEGATIVE = {"PhotometricInterpretation": "MONOCHROME1"}
INVERSE = {"PresentationLUTShape": "INVERSE"}
SHIFTED = {"RescaleSlope": "1", "RescaleIntercept": "-1024"}
WINDOWS = {
    "rescaled, window": {"RescaleSlope": "2", "RescaleIntercept": "-1000", **WINDOW},
    "slope of a half": {"RescaleSlope": "0.5", "RescaleIntercept": "100.5", **WINDOW},
    "negative slope": {
        "RescaleSlope": "-1",
        "RescaleIntercept": "4095",
        "WindowCenter": "2048",
        "WindowWidth": "3000",
    },
    "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
    "linear exact": {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"},
    "two windows": {"WindowCenter": ["1500", "9"], "WindowWidth": ["2000", "9"]},
    "MONOCHROME1": {**WINDOW, **NEGATIVE},
    "MONOCHROME1, INVERSE": {**WINDOW, **NEGATIVE, **INVERSE},
    "IDENTITY": {**WINDOW, "PresentationLUTShape": "IDENTITY"},
    "slope without an intercept": {"RescaleSlope": "2", **WINDOW},
    "slope of 0": {"RescaleSlope": "0", "RescaleIntercept": "5", **WINDOW},
    "modality table beside a slope": {
        "ModalityLUTSequence": [table(square(4096, 4095), 0, 12)],
        "RescaleSlope": "2",
        "RescaleIntercept": "0",
        **WINDOW,
    },
    "window of one level": {"WindowCenter": "2000", "WindowWidth": "1"},
    "MONOCHROME2, INVERSE": {**WINDOW, **INVERSE},
    "stored higher up": {"HighBit": 13, "WindowCenter": "500", "WindowWidth": "900"},
    "empty rescale": {"RescaleSlope": "", "RescaleIntercept": "", **WINDOW},
    "modality table": {"ModalityLUTSequence": [table(square(4096, 4095), 0, 12)], **WINDOW},
    "modality table of 16 bits": {
        "ModalityLUTSequence": [table(square(4096, 65535), 0, 16)],
        "WindowCenter": "30000",
        "WindowWidth": "50000",
    },
}
TABLES = {
    "12 bits": (DEEP, 12, table(square(4096, 4095), 0, 12), {}),
    "16 bits": (DEEP, 12, table(square(4096, 65535), 0, 16), {}),
    "10 bits": (DEEP, 12, table(square(4096, 1023), 0, 10), {}),
    "8 bits, packed": (DEEP, 12, table(square(4096, 255), 0, 8, "packed"), {}),
    "8 bits in words": (DEEP, 12, table(square(4096, 255), 0, 8), {}),
    "as numbers": (DEEP, 12, table(square(4096, 4095), 0, 12, "US"), {}),
    "short, from 1000": (DEEP, 12, table(square(2000, 4095), 1000, 12), {}),
    "signed": (stored(12, True), 12, table(square(4096, 4095), -2048, 12), {}),
    "rescaled": (DEEP, 12, table(square(4096, 4095), -1024, 12), SHIFTED),
    "65,536 entries": (stored(16), 16, table(square(65536, 4095), 0, 12), {}),
    "MONOCHROME1": (DEEP, 12, table(square(4096, 4095), 0, 12), NEGATIVE),
}


def _compressed(pixels: np.ndarray, bits: int, syntax: str, **tags) -> Dataset:
    made = dataset(pixels, bits, **tags)
    made.compress(UIDS[syntax], generate_instance_uid=False)
    return made


def _framed(frame: bytes, pixels: np.ndarray, bits: int, syntax: str) -> Dataset:
    return pydicom.dcmread(io.BytesIO(encapsulated(frame, pixels, bits, syntax, **WINDOW_OF[bits])))


WINDOW_OF = {8: {"WindowCenter": "120", "WindowWidth": "200"}, 12: WINDOW}
SYNTAXES = {
    "implicit": lambda: dataset(DEEP, 12, "implicit", **WINDOW),
    "deflated": lambda: dataset(DEEP, 12, "deflated", **WINDOW),
    "big endian": lambda: dataset(DEEP.byteswap(), 12, "big", **WINDOW),
    "RLE": lambda: _compressed(DEEP, 12, "rle", **WINDOW),
    "JPEG": lambda: _framed(saved(Image.fromarray(SHALLOW), "JPEG"), SHALLOW, 8, "jpeg"),
    "JPEG lossless": lambda: _framed(lossless_jpeg(DEEP, 12), DEEP, 12, "lossless"),
    "JPEG lossless SV1": lambda: _framed(lossless_jpeg(DEEP, 12), DEEP, 12, "lossless1"),
    "JPEG-LS": lambda: _compressed(DEEP, 12, "jls", **WINDOW),
    "JPEG-LS near": lambda: _compressed(DEEP, 12, "jls near", **WINDOW),
    "JPEG 2000": lambda: _compressed(DEEP, 12, "j2k", **WINDOW),
}
FILES = {f"{name}, window": make for name, make in depths().items()}
FILES |= {name: lambda t=tags: dataset(DEEP, **t) for name, tags in WINDOWS.items()}
FILES |= {
    f"VOI table, {name}": lambda p=p, b=b, t=t, tags=tags: dataset(p, b, VOILUTSequence=[t], **tags)
    for name, (p, b, t, tags) in TABLES.items()
}
FILES |= SYNTAXES


# -- the others -------------------------------------------------------------------------------


def by_pydicom(data: bytes) -> np.ndarray:
    """What pydicom makes of it, on 0..255."""
    read = pydicom.dcmread(io.BytesIO(data))
    values = apply_modality_lut(read.pixel_array, read)
    shown = apply_voi_lut(values, read).astype(np.float64)
    if "VOILUTSequence" in read:
        low, high = 0, 2 ** read.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "ModalityLUTSequence" in read:
        low, high = 0, 2 ** read.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    else:
        low, high = (-(2 ** (read.BitsStored - 1)), 2 ** (read.BitsStored - 1) - 1)
        if not read.PixelRepresentation:
            low, high = 0, 2**read.BitsStored - 1
        slope, intercept = (read.get(k) for k in ("RescaleSlope", "RescaleIntercept"))
        if slope is not None and intercept is not None:
            low, high = low * slope + intercept, high * slope + intercept
    shown = (shown - float(low)) * 255 / float(high - low)
    return 255 - shown if read.PhotometricInterpretation == "MONOCHROME1" else shown


def by_dcmtk(data: bytes, folder, *options: str) -> np.ndarray:
    """What dcmtk's dcm2pnm, or its sister for JPEG or JPEG-LS, makes of it, on 0..255."""
    read = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    syntax = read.file_meta.TransferSyntaxUID
    program = "dcml2pnm" if syntax in (UIDS["jls"], UIDS["jls near"]) else "dcmj2pnm"
    source, target = folder / "image.dcm", folder / "image.pgm"
    source.write_bytes(data)
    voi = ("+Wl", "1") if "VOILUTSequence" in read else ("+Wi", "1")
    command = [program, "-q", *(options or voi), "+opw", str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(Image.open(target), np.float64) * (255 / 65535)


needs_dcmtk = pytest.mark.skipif(  # which continuous integration has
    not (shutil.which("dcmj2pnm") or os.environ.get("CI")), reason="dcmtk is not installed"
)
# Where pydicom differs from the standard: it maps a negative slope's window the wrong way round,
# refuses empty rescale values, Modality LUTs of 12 bits and packed tables, scrambles 8 bits in
# words, takes US for unsigned, and leaves HighBit and Presentation LUT Shape aside.
NOT_PYDICOM = (
    *("negative slope", "slope of 0", "empty rescale", "big endian", "stored higher up"),
    *("modality table", "modality table beside a slope", "MONOCHROME2, INVERSE"),
    *("VOI table, 8 bits, packed", "VOI table, 8 bits in words", "VOI table, rescaled"),
    *("VOI table, signed", "VOI table, 65,536 entries"),
)
NOT_DCMTK = ("JPEG 2000",)


@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_PYDICOM])
def test_as_pydicom_shows_it(name):
    data = written(FILES[name]())
    shown = read_radiograph(data).pixels
    np.testing.assert_allclose(shown, by_pydicom(data).clip(0, 255), atol=1.5)


@pytest.mark.slow
@needs_dcmtk
@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_DCMTK])
def test_as_dcmtk_shows_it(name, tmp_path):
    data = written(FILES[name]())
    np.testing.assert_allclose(read_radiograph(data).pixels, by_dcmtk(data, tmp_path), atol=1)


@needs_dcmtk
@pytest.mark.parametrize("tags", [{}, NEGATIVE, SHIFTED])
def test_without_a_window_the_scale_is_that_of_the_levels(tags, tmp_path):
    data = written(dataset(DEEP // 2 + 300, **tags))
    theirs = by_dcmtk(data, tmp_path, "+Wm")
    # A thousandth of the pixels may lie beyond either end of our scale.
    np.testing.assert_allclose(read_radiograph(data).pixels, theirs, atol=5)
