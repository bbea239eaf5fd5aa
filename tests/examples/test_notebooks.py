"""The notebooks run as they are, cell by cell, and are stored without output."""

import ast
import json

import matplotlib
import pytest

from pipeline.models.registry import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    matplotlib.use("agg")
    from matplotlib import pyplot

    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None
            code = compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec")
            exec(code, names)
    assert pyplot.get_fignums(), "something is drawn"
    pyplot.close("all")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_first_cell_says_what_it_is(path):
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert first["cell_type"] == "markdown" and first["source"][0].startswith("# ")


def test_ten_lines_are_ten():
    cells = json.loads((ROOT / "examples/radiograph_to_heatmap.ipynb").read_text())["cells"]
    steps = ast.parse("".join(cells[2]["source"])).body
    assert len(steps) <= 10
