"""Archives: what is listed, a row for every file, nothing lost or doubled by a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from types import ModuleType

import numpy as np
import pytest

from pipeline.screening import screen, screener, shards
from pipeline.screening.screener import Screener
from pipeline.screening.shards import Run
from pipeline.screening.sources import acquisition, list_images, read_image
from tests.fuzz.hostile.seeds import dataset, written

SETTINGS = {"model": "light", "weights_sha256": "a" * 64, "gate_sha256": "b" * 64, "threshold": 0.5}


@pytest.fixture
def archive(tmp_path, clear_png):
    """Two radiographs, of which one in a folder below, and files that are none."""
    root = tmp_path / "archive"
    (root / "below").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "a.png").write_bytes(clear_png)
    (root / "below" / "b.png").write_bytes(clear_png + b"more")
    (root / "empty.png").write_bytes(b"")
    (root / "half.png").write_bytes(clear_png[:900])
    (root / ".hidden" / "c.png").write_bytes(clear_png)
    (root / "dangling.png").symlink_to(root / "nowhere.png")
    return root


# -- what is listed -----------------------------------------------------------------------------


def names(source):
    return [name.rpartition("archive/")[2] for name in list_images(str(source))]


def test_a_folder_is_read_through_without_what_is_hidden(archive):
    assert names(archive) == ["a.png", "below/b.png", "dangling.png", "empty.png", "half.png"]


def test_lists_archives_and_urls_name_the_same_images(archive, tmp_path, clear_png):
    kept = [archive / "a.png", archive / "below" / "b.png"]
    (tmp_path / "list.txt").write_text("\n".join(map(str, kept)) + "\n\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for path in kept:
            packed.write(path, str(path.relative_to(archive)))
        packed.writestr("__MACOSX/._a.png", b"x")
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as packed:
        for path in kept:
            packed.add(path, str(path.relative_to(archive)))
    expected = [path.read_bytes() for path in kept]
    for source in ("list.txt", "all.zip", "all.tar.gz"):
        found = list(list_images(str(tmp_path / source)))
        assert [read_image(name) for name in found] == expected, source
    url = list(list_images(f"file://{archive}"))
    assert [read_image(name) for name in url if name.endswith("a.png")] == [clear_png]
    assert not any(".hidden" in name for name in url)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_dicomdir_names_files_below_its_own_folder_only(tmp_path):
    from pydicom.dataset import Dataset, FileMetaDataset

    records = []
    for parts in (["IM", "1"], ["..", "secret"]):
        record = Dataset()
        record.ReferencedFileID = parts
        records.append(record)
    directory = Dataset()
    directory.DirectoryRecordSequence = records
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    found = list(list_images(str(tmp_path / "DICOMDIR")))
    assert found == [str((tmp_path / "IM" / "1").resolve())]
    (tmp_path / "DICOMDIR").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="no DICOMDIR"):
        list(list_images(str(tmp_path / "DICOMDIR")))


def test_names_that_are_no_text_or_look_like_urls(tmp_path, clear_png):
    root = tmp_path / "archive"
    root.mkdir()
    odd = [os.fsdecode(b"caf\xe9.png"), "a::b.png", "zip:x.png", "50%25.png", "new\nline.png"]
    for name in odd:
        (root / name).write_bytes(clear_png)
    found = list(list_images(str(root)))
    assert len(set(found)) == len(odd)
    assert all(name.encode() and read_image(name) == clear_png for name in found)
    with tarfile.open(tmp_path / "all.tar", "w") as packed:
        packed.add(root, "in")
    found = list(list_images(str(tmp_path / "all.tar")))
    assert len(found) == len(odd) and all(read_image(name) == clear_png for name in found)


def test_nothing_there_and_a_damaged_archive_are_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a folder"):
        list(list_images(str(tmp_path / "nowhere")))
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(ValueError, match="unpack it"):
        list(list_images(str(tmp_path / "bad.zip")))


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_scanner_and_month_but_no_day_and_no_name(clear_png):
    dated = dataset(np.zeros((8, 8), np.uint16))
    dated.Manufacturer, dated.ManufacturerModelName = "Maker", "M1"
    dated.StudyDate, dated.PatientName = "20210317", "A^B"
    assert acquisition(written(dated)) == ("Maker M1", "2021-03")
    dated.StudyDate = "202"
    assert acquisition(written(dated)) == ("Maker M1", "")
    assert acquisition(clear_png) == ("", "")
    assert acquisition(b"") == ("", "")


# -- shards -------------------------------------------------------------------------------------


def row(file, status="ok"):
    return {"file": file, "status": status, "reasons": []}


def test_what_has_a_row_is_not_listed_again(tmp_path):
    files = [f"{n}.png" for n in range(8)]
    run = Run(tmp_path, SETTINGS, resume=False)
    first, second, third = run.left(files, 3)
    assert (len(first), len(second), third) == (3, 3, ["6.png", "7.png"])
    run.write(second, list(map(row, second)))
    with pytest.raises(ValueError, match="--resume"):
        Run(tmp_path, SETTINGS, resume=False)
    with pytest.raises(ValueError, match="another source"):
        Run(tmp_path, SETTINGS | {"weights_sha256": "c" * 64}, resume=True)
    again = Run(tmp_path, SETTINGS, resume=True)
    left = list(again.left(files, 3))
    assert [file for shard in left for file in shard] == [*first, *third]
    for shard in left:
        again.write(shard, list(map(row, shard)))
    assert Counter(again.table()["file"].to_pylist()) == Counter(files)
    assert not list((tmp_path / "parts").glob("*.new"))


def test_a_file_that_is_named_twice_has_one_row(tmp_path):
    run = Run(tmp_path, SETTINGS, resume=False)
    assert list(run.left(["a", "b", "a"], 2)) == [["a", "b"]]


def test_all_files_that_killed_a_reader_are_known(tmp_path):
    run = Run(tmp_path, SETTINGS, resume=False)
    shard = ["a", "b", "c"]
    run.begin(shard, "a")
    run.begin(shard, "b", run.deadly(shard))
    assert run.deadly(shard) == {"a", "b"}
    run.begin(shard, "c")  # nobody died at those before
    assert run.deadly(shard) == {"c"}
    assert Run(tmp_path, SETTINGS, resume=True).deadly(shard) == set()


@pytest.mark.parametrize("wrong", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_a_shard_has_one_row_a_file(tmp_path, wrong):
    run = Run(tmp_path, SETTINGS, resume=False)
    with pytest.raises(ValueError, match="one row a file"):
        run.write(["a", "b"], list(map(row, wrong)))
    assert run.parts == []


# -- rows ---------------------------------------------------------------------------------------


@pytest.fixture
def reader(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr("pipeline.screening.screener.load_predictor", lambda model: predictor)
    monkeypatch.setattr(screener.cv2, "setNumThreads", lambda threads: None)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "1")
    return Screener(Run(tmp_path / "out", SETTINGS, resume=False), "light", None, True, 1)


def test_every_file_has_a_row_whatever_becomes_of_it(archive, reader, predictor):
    files = list(list_images(str(archive)))
    said = reader.screen(files)
    table = reader.run.table().to_pylist()
    rows = {row["file"].rpartition("archive/")[2]: row for row in table}
    assert said == {"ok": 2, "abstained": 0, "error": 3}
    assert rows["a.png"]["covid_probability"] is not None
    assert rows["a.png"]["weights_sha256"] == predictor.entry.sha256
    assert rows["a.png"]["triage"] in ("likely", "unlikely", "uncertain")
    assert rows["empty.png"]["status"] == rows["half.png"]["status"] == "error"
    assert rows["dangling.png"]["reasons"] == ["no_file"]
    assert (reader.run.folder / rows["a.png"]["mask"]).is_file()
    assert all(row["gate_sha256"] for row in table)


def test_a_file_that_killed_its_reader_is_not_read_again(archive, reader, monkeypatch):
    files = [str(archive / "a.png"), str(archive / "empty.png")]
    reader.run.begin(files, files[0])
    reader.screen(files)
    rows = {row["file"]: row for row in reader.run.table().to_pylist()}
    assert rows[files[0]]["reasons"] == ["film_failed"]


def test_a_run_that_was_killed_blames_no_file(archive, reader):
    files = [str(archive / "a.png")]
    reader.run.begin(files, files[0])
    Run(reader.run.folder, SETTINGS, resume=True)
    reader.screen(files)
    assert reader.run.table()["status"].to_pylist() == ["ok"]


def test_the_summary_names_no_file_and_counts_all(archive, tmp_path, reader, monkeypatch):
    def at_once(pieces, settings, address):
        run, _, _, masks = settings
        reader.run, reader.masks = run, masks
        return map(reader.screen, pieces)

    monkeypatch.setattr(screen, "_on_ray", at_once)
    said = screen.screen(str(archive), tmp_path / "run")
    assert sum(said.values()) == 5
    page = (tmp_path / "run" / "summary.html").read_text()
    assert "5 files" in page and "a.png" not in page and "Not for diagnostic use" in page
    assert "<script" not in page and "http" not in page
    assert sum(screen.screen(str(archive), tmp_path / "run", resume=True).values()) == 5


# -- Ray ----------------------------------------------------------------------------------------


def test_ray_asks_for_a_token_of_the_run(monkeypatch):
    """SECURITY.md: "asks for a token that is made for the run"."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness")
    for name in names:
        monkeypatch.setenv(name, "")  # so that what is set here is taken back
        monkeypatch.delenv(name)
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    screen._ray()
    assert os.environ["RAY_AUTH_MODE"] == "token" and len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
def test_two_kills_lose_and_double_nothing(archive, tmp_path, clear_png):
    pytest.importorskip("ray")
    for n in range(60):
        shutil.copy(archive / "a.png", archive / f"copy-{n}.png")
    command = [sys.executable, "-m", "pipeline", "screen", str(archive), "--out"]
    command += [str(tmp_path / "run"), "--resume", "--shard", "8"]
    for _ in range(2):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        parts = tmp_path / "run" / "parts"
        before, end = len(list(parts.glob("*.parquet"))), time.monotonic() + 120
        while len(list(parts.glob("*.parquet"))) == before and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    table = shards.Run(tmp_path / "run", _settings(tmp_path / "run"), resume=True).table()
    assert Counter(table["file"].to_pylist()) == Counter(list_images(str(archive)))


def _settings(folder):
    return json.loads((folder / "run.json").read_text())
