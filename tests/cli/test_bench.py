"""The speed measurements: what is asked is measured, and the page shows what was measured."""

import json

import numpy as np
import pytest

from pipeline.cli import bench, speed_page
from pipeline.cli.main import BENCHES, main


@pytest.mark.slow
def test_the_parts_that_are_asked_for_are_measured(tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert main(["bench", "--part", "hist_norm", "--part", "files_mb", "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert list(result) == ["machine", "hist_norm", "files_mb"]
    assert result == json.loads(capsys.readouterr().out)
    assert {"cores", "threads", "engine", "versions", "weights_sha256"} <= result["machine"].keys()
    for measured in result["hist_norm"].values():
        assert 0 < measured["low"] <= measured["median"] <= measured["high"]
    assert 0 < result["files_mb"]["light.weights.h5"] < 67


def test_what_can_be_asked_for_is_what_there_is():
    assert tuple(bench.PARTS) == BENCHES


def test_a_turn_calls_each_once():
    called = []
    calls = {name: lambda name=name: called.append(name) for name in "ab"}
    times = bench._in_turns(calls, turns=2)
    assert "".join(called) == "ab" * 3
    assert [len(one) for one in times.values()] == [2, 2]


FIGURES = {
    "machine": {
        "device": "Some processor",
        "cores": 2,
        "threads": 1,
        "versions": {"pulmoscope": "1", "python": "3.11"},
    },
    "engines": {
        "light": {
            "onnx_ms": bench._spread(np.array([30.0])),
            "keras_ms": bench._spread(np.array([60.0])),
            "times_faster": bench._spread(np.array([1.9, 2.0, 2.1])),
            "onnx_processor_ms": bench._spread(np.array([29.0])),
            "keras_processor_ms": bench._spread(np.array([58.0])),
            "times_less_work": bench._spread(np.array([2.0])),
        },
        "xception": {"skipped": "not compiled"},
    },
}


def test_the_page_shows_what_was_measured_and_keeps_the_rest(tmp_path):
    figures, page = tmp_path / "speed.json", tmp_path / "speed.md"
    figures.write_text(json.dumps(FIGURES))
    page.write_text(f"before\n{speed_page.START}\nold\n{speed_page.END}\nafter\n")
    speed_page.write_page(figures, page)
    shown = page.read_text()
    assert shown.startswith("before\n") and shown.endswith("\nafter\n")
    assert "old" not in shown and "Xception" not in shown
    assert "Some processor, 2 cores, 1 threads used; pulmoscope 1, python 3.11." in shown
    assert "| light, image of 1024 px to mask, score and heatmap: ONNX Runtime faster by " in shown
    assert "| 2 times (1.95 to 2.05; 3) |" in shown


def test_the_shipped_page_is_made_of_the_shipped_figures():
    if not speed_page.FIGURES.is_file():
        pytest.skip("no figures: python -m pipeline bench --json docs/speed.json")
    shown = speed_page.PAGE.read_text(encoding="utf-8")
    assert speed_page.table(json.loads(speed_page.FIGURES.read_text())) in shown
