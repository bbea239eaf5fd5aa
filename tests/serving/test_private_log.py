"""Nothing of what the server is told reaches its log: neither names nor the text of errors."""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.serving import private_log
from tests.conftest import ROOT

SECRET = "Zzsecret"

# Everything that ever wrote a name into a log, in a process of its own that logs all there is.
SCRIPT = f"""
import logging, sys, threading, warnings
from pipeline.serving.private_log import keep_identity_out
keep_identity_out()
logging.basicConfig(level=logging.DEBUG)
secret = {SECRET!r}

from datetime import datetime
import numpy as np
from fpdf import FPDF
import fpdf, matplotlib, pydicom
page = FPDF()
page.add_page()
page.add_font("D", "", matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf")
page.set_font("D", size=9)
page.multi_cell(0, 5, secret + "\\u4e2d\\u6587")  # letters that the font lacks
page.output()
warnings.warn(secret)
dataset = pydicom.Dataset()
dataset.PatientID = secret * 20  # too long: pydicom warns and repeats it
dataset.StudyInstanceUID = secret  # no UID

def fail():
    raise ValueError(secret)

thread = threading.Thread(target=fail)
thread.start()
thread.join()
for name in ("pipeline.test", "streamlit.test", "uvicorn.error"):
    try:
        fail()
    except ValueError as error:
        logging.getLogger(name).exception("failed")
        logging.getLogger("pipeline.test").error("one failed: %s", error)
logging.getLogger("streamlit").warning("given: %s", secret)
late = logging.getLogger("late")
late.propagate = False
late.addHandler(logging.StreamHandler())  # a library's own, set up after ours
late.error(f"given: {{secret}}")
class Bad:
    def __del__(self):
        raise ValueError(secret)
Bad()
logging.getLogger("pipeline.test").info("this is ours: %d %%", 7)
fail()
"""


@pytest.fixture(scope="module")
def written() -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1  # the last line fails
    return done.stdout + done.stderr


def test_no_text_of_a_library_and_of_no_error_is_logged(written):
    """SECURITY.md: "No text of a library and no text of an error is logged"."""
    assert SECRET not in written
    assert "4e2d" not in written.lower()
    assert "中" not in written
    for glyph in SECRET:
        assert f"'{glyph}'" not in written


def test_kind_and_place_are(written):
    assert "ERROR:pipeline.test:failed (ValueError at <string>:" in written
    assert "one failed: ValueError at <string>:" in written
    assert "fpdf/" in written, "fpdf logged something, or this test shows nothing"
    assert "pydicom/" in written
    assert "this is ours: 7 %" in written
    assert written.count("nobody caught ValueError") == 3  # a thread, __del__, the main thread


def test_an_error_in_our_code_is_placed_there():
    try:
        private_log.kind_and_place(None).missing  # noqa: B018
    except AttributeError as error:
        said = private_log.kind_and_place(error)
    assert said.startswith("AttributeError at tests/serving/test_private_log.py:")


@pytest.mark.parametrize("folder", ["app", "pipeline/serving", "pipeline/inference", "pipeline/io"])
def test_our_own_lines_are_written_out(folder):
    """A line put together beforehand could hold anything; arguments are looked at."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("debug", "info", "warning", "error", "exception"):
                continue
            if ast.unparse(node.func.value) in ("log", "logging", "logging.getLogger(__name__)"):
                line = ast.unparse(node.args[0])
                constant = isinstance(node.args[0], ast.Constant)
                assert constant or line == "json.dumps(line)", f"{Path(path).name}: {line}"


def test_records_of_others_keep_level_and_place():
    record = private_log._record(
        "fpdf", logging.WARNING, "/x/site-packages/fpdf/fpdf.py", 7, f"{SECRET} %s", (SECRET,), None
    )
    assert record.getMessage() == "a message of fpdf/fpdf.py:7, whose text is not logged"
    assert record.levelname == "WARNING"
    assert SECRET not in str(record.__dict__)
