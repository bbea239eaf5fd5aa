"""The command line is a contract: fields, pictures, exit status."""

import errno
import hashlib
import json
import os

import cv2
import numpy as np
import pytest

from pipeline.cli import diagnose as command
from pipeline.cli.main import main
from pipeline.data.database import read_database
from pipeline.data.split import read_split
from pipeline.evaluation.estimates import plain
from pipeline.evaluation.evaluate import evaluate
from tests.drawn import make_database
from tests.fuzz.hostile.seeds import dataset, written

FIELDS = {
    "file",
    "sha256",
    "status",
    "reasons",
    "model",
    "weights_sha256",
    "covid_probability",
    "covid_score",
    "threshold",
    "positive",
    "lung_area_fraction",
    "seconds",
}


@pytest.fixture
def folder(tmp_path, films):
    for name in ("clear", "inverted"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), films[name][0])
    (tmp_path / "text.png").write_text("not a picture")
    return tmp_path


def run_json(capsys, *arguments) -> tuple[int, list[dict]]:
    status = main(["diagnose", *map(str, arguments), "--format", "json"])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_one_json_object_per_file_and_bad_files_stop_nothing(folder, capsys):
    paths = [
        folder / "text.png",
        folder / "clear.png",
        folder / "none.png",
        folder / "inverted.png",
    ]
    status, records = run_json(capsys, *paths)
    assert status == 1
    assert [r["status"] for r in records] == ["error", "ok", "error", "abstained"]
    assert all(r.keys() >= FIELDS for r in records)
    assert [r["file"] for r in records] == [str(p) for p in paths]
    bad, good, missing, inverted = records
    assert bad["reasons"] == ["not_an_image"]
    assert bad["sha256"] == hashlib.sha256(b"not a picture").hexdigest()
    assert missing["sha256"] is None
    assert missing["reasons"] == ["unreadable_path"]
    assert inverted["reasons"] == ["inverted"]
    assert inverted["covid_probability"] is inverted["positive"] is None
    assert 0 <= good["covid_probability"] <= 1
    assert good["positive"] == (good["covid_probability"] >= good["threshold"])
    assert 0.1 < good["lung_area_fraction"] < 0.5
    assert good["sha256"] == hashlib.sha256((folder / "clear.png").read_bytes()).hexdigest()


@pytest.mark.slow
def test_exit_status_and_threshold(folder, capsys):
    status, (record,) = run_json(capsys, folder / "clear.png", "--threshold", "0")
    assert (status, record["positive"], record["threshold"]) == (0, True, 0)
    assert run_json(capsys, folder / "inverted.png")[0] == 0
    for wrong in (["--threshold", "2"], ["--cam", "none"], ["--model", "vgg"]):
        with pytest.raises(SystemExit) as stop:
            main(["diagnose", str(folder / "clear.png"), *wrong])
        assert stop.value.code == 2
    film = str(folder / "clear.png")
    assert main(["diagnose", film, "--out", film]) == 2  # a file, where a folder must be made


@pytest.mark.slow
def test_text_says_it_in_words(folder, capsys):
    main(["diagnose", str(folder / "clear.png"), str(folder / "inverted.png")])
    good, refused = capsys.readouterr().out.splitlines()
    assert "Not for diagnostic use." in good
    assert "threshold" in good
    assert "no score. The image is inverted" in refused


@pytest.mark.slow
@pytest.mark.parametrize("cam", ["gradcam", "layercam"])
def test_pictures(folder, films, capsys, cam):
    out = folder / "out"
    run_json(capsys, folder / "clear.png", "--out", out, "--cam", cam)
    film = films["clear"][0]
    mask = cv2.imread(str(out / "clear.mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == film.shape
    assert set(np.unique(mask)) == {0, 255}
    heatmap = np.load(out / "clear.heatmap.npy")
    assert (heatmap.dtype, heatmap.shape) == (np.float32, film.shape)
    assert heatmap.min() >= 0
    assert cv2.imread(str(out / "clear.overlay.png")).shape == (*film.shape, 3)


def test_files_of_one_name_do_not_overwrite_each_other(folder, films, capsys):
    other = folder / "other"
    other.mkdir()
    cv2.imwrite(str(other / "clear.png"), films["rotated"][0])
    out = folder / "both"
    run_json(capsys, folder / "clear.png", other / "clear.png", "--out", out)
    assert len(list(out.glob("*.mask.png"))) == 2


def results(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_nothing_is_overwritten(tmp_path, films, capsys):
    """A source that is called like a result, and the results of an earlier run."""
    cv2.imwrite(str(tmp_path / "film.png"), films["clear"][0])
    cv2.imwrite(str(tmp_path / "film.mask.png"), films["rotated"][0])
    before = results(tmp_path)
    paths = [tmp_path / "film.png", tmp_path / "film.mask.png"]
    _, (first, second) = run_json(capsys, *paths, "--out", tmp_path)
    assert (first["stem"], second["stem"]) == ("film-2", "film.mask")
    after = results(tmp_path)
    assert before.items() <= after.items()
    _, (again, _) = run_json(capsys, *paths, "--out", tmp_path)
    assert again["stem"] == "film-3"
    assert after.items() <= results(tmp_path).items()


def test_a_file_that_cannot_be_written_stops_nothing(folder, capsys):
    long = folder / f"{'é' * 124}.png"
    long.write_bytes((folder / "clear.png").read_bytes())
    out = folder / "out"
    status, (first, second) = run_json(capsys, long, folder / "clear.png", "--out", out)
    assert (status, second["stem"]) == (0, "clear")
    assert first["stem"] == "é" * 100
    assert (out / f"{first['stem']}.heatmap.npy").exists()


def test_a_full_disk_is_a_sentence_and_an_error(folder, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(command, "_write_pictures", full)
    status, (record,) = run_json(capsys, folder / "clear.png", "--out", folder / "out")
    assert (status, record["status"], record["stem"]) == (1, "ok", None)
    assert "could not be written (No space left on device)" in record["notes"][0]


def test_pipes_devices_and_folders_are_refused_at_once(folder, capsys):
    os.mkfifo(folder / "pipe.dcm")
    status, records = run_json(capsys, folder / "pipe.dcm", "/dev/zero", folder)
    assert status == 1
    assert [record["reasons"] for record in records] == [["no_file"]] * 3


def test_one_line_per_file_whatever_its_name(folder, capsys):
    odd = folder / "a\nb\x1b[2J\udcff.png"
    odd.write_text("no picture")
    main(["diagnose", str(odd), str(folder / "inverted.png")])
    first, second = capsys.readouterr().out.splitlines()
    assert "a\\nb\\x1b[2J\\udcff.png: This is not a readable image" in first
    assert "no score." in second
    _, (record,) = run_json(capsys, odd)
    assert record["file"] == str(odd)


def test_pictures_lie_over_the_stored_pixels(folder, films, capsys):
    """A mirrored DICOM file: what is written is mirrored as the file is; the JSON says so."""
    film = films["clear"][0].astype(np.uint16)
    tags = {"WindowCenter": "128", "WindowWidth": "256"}
    usual = written(dataset(film, 8, **tags, PatientOrientation=["L", "F"]))
    mirrored = written(
        dataset(np.ascontiguousarray(film[:, ::-1]), 8, **tags, PatientOrientation=["R", "F"])
    )
    (folder / "usual.dcm").write_bytes(usual)
    (folder / "mirrored.dcm").write_bytes(mirrored)
    names, out = ("usual.dcm", "mirrored.dcm"), folder / "out"
    _, (one, other) = run_json(capsys, *(folder / name for name in names), "--out", out)
    assert (one["repairs"], other["repairs"]) == ([], ["mirrored"])
    assert "mirrored or turned" in other["notes"][0]
    assert other["covid_probability"] == pytest.approx(one["covid_probability"], abs=1e-5)
    masks = [cv2.imread(str(out / f"{n[:-4]}.mask.png"), cv2.IMREAD_UNCHANGED) for n in names]
    np.testing.assert_array_equal(masks[1], masks[0][:, ::-1])
    heatmaps = [np.load(out / f"{n[:-4]}.heatmap.npy") for n in names]
    np.testing.assert_allclose(heatmaps[1], heatmaps[0][:, ::-1], atol=1e-5)


def test_unknown_weights_are_a_sentence(folder, capsys, monkeypatch):
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(folder))
    assert main(["diagnose", str(folder / "clear.png")]) == 2
    assert "registry.json, is missing or damaged" in capsys.readouterr().err


def test_evaluate_writes_what_it_promises(tmp_path, films):
    result = plain(evaluate(make_database(tmp_path, films, per_class=4)))
    assert result["n"] == 16
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        assert {"value", "low", "high", "n"} <= result[name].keys()
    assert sum(result["confusion"].values()) == 16
    assert {"brier", "ece", "threshold", "gated", "abstained", "by_source"} <= result.keys()
    assert result["segmentation"]["n"] == 8
    assert result["segmentation"]["dice"]["value"] > 0.6
    by_class = result["segmentation_by_class"]
    assert sum(row["n"] for row in by_class.values()) == 8
    weighted = result["segmentation_as_database"]["dice"]["value"]
    dice = [row["dice"]["value"] for row in by_class.values()]
    assert min(dice) <= weighted <= max(dice)
    assert result["gated"]["n"] == 16 - round(result["abstained"]["value"] * 16)
    assert json.loads(json.dumps(result)) == result


def test_evaluate_lists_what_it_cannot_read(tmp_path, films):
    root = make_database(tmp_path, films, per_class=2)
    bad = root / "COVID-19_Radiography_Dataset" / "COVID" / "images" / "bad.png"
    bad.write_bytes(b"nothing")
    result = evaluate(root)
    assert [u["file"] for u in result["unreadable"]] == ["bad.png"]
    assert result["n"] == 8


@pytest.mark.data
def test_real_films_are_read_and_their_lungs_found(data, predictor):
    """A sample of the database: the U-Net agrees with its masks, the gate lets films pass."""
    from pipeline.data.database import read_database
    from pipeline.evaluation.evaluate import score_images

    sample = [f for f in read_database(data) if f.mask and f.label == "Normal"][::40]
    scored = list(score_images(sample, predictor, []))
    assert np.mean([s.agreement["dice"] for s in scored]) > 0.95
    assert np.mean([not s.reasons for s in scored]) > 0.9


def test_explore_counts_what_is_there(tmp_path, films, capsys):
    root = make_database(tmp_path, films, per_class=3)
    table = root / "COVID-19_Radiography_Dataset" / "all_21165.metadata.csv"
    rows = ["FILE NAME,FORMAT,SIZE,URL", "COVID-1,PNG,1*1,https://eurorad.org"]
    rows += [f"NORMAL-{i},PNG,1*1,https://www.kaggle.com/c/rsna-pneumonia/" for i in range(2)]
    table.write_text("\n".join(rows))
    assert main(["explore", "--data", str(root)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["films"] == 12
    known = [film.name for film in read_database(root) if film.name in read_split()]
    assert sum(result["split"].values()) == len(known)
    assert result["whole"] == {"COVID": {"eurorad": 1}, "Normal": {"rsna": 2}}
    covid = result["sets"]["COVID"]
    assert covid["sources"] == {"bimcv": 3}
    assert covid["with_lung_mask"] == 2
    assert sum(covid["brightness"]["counts"]) == 3
    assert all(sum(v) == pytest.approx(1, abs=1e-3) for v in covid["levels"].values())
    dark, _, bright = (film["brightness"] for film in covid["examples"])
    assert dark <= bright
    even = np.linspace(0, 1, 65)[1:]
    assert np.abs(np.cumsum(covid["levels"]["equalised"]) - even).max() < 0.2
