"""SECURITY.md promise by promise: what the tests quote stands there, and holds from the start."""

import json
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

QUOTE = re.compile(r'SECURITY\.md: "([^"]+)"')


def plain(text: str) -> str:
    return re.sub(r"[\s#]+", " ", text)


def quoted() -> dict[str, str]:
    """Every promise that a test names, and the test's file."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.name != "test_promises.py":
            for quote in QUOTE.findall(plain(path.read_text(encoding="utf-8"))):
                found[quote.rstrip(".")] = path.name
    return found


def test_what_tests_quote_is_promised():
    promised = plain((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(quoted()) >= 12
    for quote, name in quoted().items():
        assert quote in promised, f"{name} tests a promise that SECURITY.md does not make: {quote}"


STARTED = """
import json, resource, sys
sys.path.insert(0, {root!r})
import app.server
import ctypes, logging
from streamlit import config
from starlette.formparsers import MultiPartParser
from pipeline.serving import private_log
print(json.dumps({{
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "spool": MultiPartParser.spool_max_size,
    "records": logging.getLogRecordFactory() is private_log._record,
    "middleware": [one.cls.__name__ for one in app.server.app._user_middleware],
    "options": {{name: config.get_option(name) for name in {options}}},
}}))
"""
OPTIONS = {
    "browser.gatherUsageStats": False,
    "server.enableXsrfProtection": True,
    "server.maxUploadSize": 64,
    "client.showErrorDetails": "none",
    "logger.enableRich": False,
}


def start(tmp_path, **variables: str) -> subprocess.CompletedProcess:
    """Import the server in a folder that has no configuration, before any page has run."""
    script = STARTED.format(root=str(ROOT), options=list(OPTIONS))
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_promises_hold_before_the_first_page_and_without_a_configuration(tmp_path):
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["core"] == [0, 0], "A process that dies leaves no core file"
    assert said["dumpable"] == 0
    assert said["spool"] > 64 * 2**20, "uploads stay in memory"
    assert said["records"] is True
    assert said["middleware"] == ["Addresses", "Closing", "Uploads"]
    assert said["options"] == OPTIONS


@pytest.mark.parametrize("variable", ["PULMOSCOPE_SIGNIN", "PULMOSCOPE_QUEUES"])
def test_a_slip_of_the_pen_starts_no_server(tmp_path, variable):
    done = start(tmp_path, **{variable: "1"})
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"Pulmoscope does not start. There is no setting {variable}: did you")
