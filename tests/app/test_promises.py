"""SECURITY.md promise by promise: what the tests quote stands there, and holds from the start."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from pipeline.serving.settings import read_settings
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


# Every sentence of SECURITY.md by its beginning, and the test of it (file of tests/, function);
# None where it promises nothing: advice, or what others do.
PROMISES = {
    "Pulmoscope is a research demonstration": None,
    "This page says what it protects": None,
    "Write to the maintainers privately": None,
    "Please do not send patient images": None,
    "It is held in the server's memory": "app/test_forgetting.py::test_a_gone_session_is_forgotten_though_nobody_comes",
    "A session keeps 256 MB": "app/test_cases.py::test_a_session_keeps_so_much_and_lets_the_oldest_go",
    "It is never written to disk": "app/test_http.py::test_an_upload_is_never_spooled_to_disk",
    "Uploads above one megabyte": "app/test_http.py::test_an_upload_is_never_spooled_to_disk",
    "Logs hold one JSON line": "serving/test_queue.py::test_the_log_line_names_no_film",
    "No file name, hash, DICOM tag": "serving/test_queue.py::test_the_log_line_names_no_film",
    "Of an unexpected error, its type": "app/test_http.py::test_an_unforeseen_error_is_a_sentence_without_its_text",
    "DICOM identity tags stay": "report/test_report_dicom.py::test_page_and_record_of_a_dicom_film_name_nobody",
    "A name on the PDF": "report/test_report.py::test_identity_is_what_was_typed",
    "Nothing is fetched from": "browser/test_read.py::test_nothing_is_loaded_from_elsewhere",
    "The one exception is the PACS": "browser/test_pacs.py::test_from_the_pacs_and_back",
    "The list of its patients": "app/test_pacs.py::test_where_it_may_not_be_shown_the_page_says_why",
    "No text of a library": "serving/test_private_log.py::test_no_text_of_a_library_and_of_no_error_is_logged",
    "Of both the log tells": "serving/test_private_log.py::test_kind_and_place_are",
    "Whatever a file says of itself": "serving/test_worklist.py::test_nor_does_a_formula_begin_behind_a_separator",
    "A session that has been gone": "app/test_forgetting.py::test_a_gone_session_is_forgotten_though_nobody_comes",
    "Pictures and answers are served": "app/test_bounds.py::test_pictures_and_answers_are_stored_nowhere",
    "Streamlit serves a picture": "app/test_promises.py::test_a_pictures_address_is_a_hash_of_it",
    "While `pipeline screen` runs": "screening/test_screening.py::test_ray_asks_for_a_token_of_the_run",
    "A process that dies": "app/test_promises.py::test_promises_hold_before_the_first_page_and_without_a_configuration",
    "Every decoder is fuzzed": "io/test_hostile_files.py::test_damaged_films_are_read_or_refused",
    "`python -m tests.fuzz.hostile_files": "fuzz/hostile_files.py::main",
    "Sizes are checked before": "io/test_radiograph.py::test_size_is_checked_before_decoding",
    "Uploads, and requests to the HTTP": "app/test_http.py::test_too_much_is_refused_before_it_is_read",
    "What is decoded, waits, is kept": "serving/test_budget.py::test_the_limit_is_the_containers",
    "A film is decoded only when": "serving/test_budget.py::test_many_threads_decode_within_the_budget",
    "What finds no room": "serving/test_budget.py::test_what_never_fits_and_what_waits_too_long_are_sentences",
    "A body has its place": "app/test_bounds.py::test_a_body_has_its_place_before_its_first_byte",
    "A body that does not come": "app/test_bounds.py::test_a_body_that_does_not_come_is_ended_and_its_place_given_back",
    "A refused body is read past": "app/test_bounds.py::test_a_refused_body_is_read_to_its_end_so_that_its_caller_hears_why",
    "`python -m tests.memory_limit": "memory_limit.py::main",
    "Measured on two cores": "memory_limit.py::main",
    "Weights are HDF5 files": "app/test_promises.py::test_nothing_is_unpickled",
    "A file is loaded only if": "app/test_app.py::test_damaged_weights_are_refused",
    "A missing or different file": "app/test_app.py::test_damaged_weights_are_named_on_the_page_and_restoring_them_is_enough",
    "A record beside the weights": "app/test_damaged_records.py::test_every_route_says_what_to_do",
    "One worker serves everyone": "serving/test_queue.py::test_owners_take_turns",
    "A worker that dies is replaced": "serving/test_queue.py::test_a_film_that_kills_every_worker_is_given_up",
    "A party is a signed-in person": "app/test_bounds.py::test_forwarded_addresses_are_believed_from_known_proxies_alone",
    "Parties take turns": "serving/test_queue.py::test_one_party_does_not_fill_the_queue_for_others",
    "A caller who hangs up": "app/test_http.py::test_who_hangs_up_leaves_the_queue",
    "A setting that does not exist": "serving/test_queue.py::test_a_slip_of_the_pen_stops_the_start",
    "Off by default": "app/test_promises.py::test_signing_in_is_off_by_default",
    "To require it for every page": "browser/test_sign_in.py::test_no_page_shows_anything_before_the_sign_in",
    "Programs send a token": "app/test_http.py::test_a_signed_token_opens_the_interface",
    "Issuer, audience, signature": "app/test_http.py::test_a_token_for_something_else_does_not",
    "`/v1/health` and the fonts": "app/test_bounds.py::test_with_sign_in_only_health_is_open",
    "An identity that has expired": "app/test_bounds.py::test_an_identity_holds_until_it_expires",
    "With signing in on, a file": "app/test_bounds.py::test_an_upload_for_a_stranger_is_refused",
    "What a stranger gets": "browser/test_sign_in.py::test_no_page_shows_anything_before_the_sign_in",
    "A provider that fails": "app/test_bounds.py::test_a_provider_that_fails_is_not_asked_again_at_once",
    "What signing in does not do": None,
    "Limit requests at the proxy": None,
    "XSRF protection is on": "app/test_promises.py::test_promises_hold_before_the_first_page_and_without_a_configuration",
    "Streamlit speaks plain HTTP": None,
    "The proxy says so": "app/test_bounds.py::test_cookies_are_secure_behind_tls",
    "Streamlit's counters": "app/test_bounds.py::test_streamlits_counters_are_not_there",
    "[docs/deploy](docs/deploy) has one": "browser/test_access.py::test_the_proxys_content_policy_breaks_no_page",
    "Streamlit needs `unsafe-inline`": None,
    "No root, no build tools": "app/test_promises.py::test_the_container_has_no_root_and_nothing_to_write_to",
    "`make digests` names the base images": "app/test_promises.py::test_one_command_renews_the_digests",
}
END = re.compile(r"(?<=[.:]) (?=[A-Z`\[])")


def sentences() -> list[str]:
    """SECURITY.md without headings and examples, sentence by sentence."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").replace("Authorization: ", "")
    lines = [line for line in text.splitlines() if not line.startswith(("    ", "#"))]
    parts = re.split(r"\n\s*\n|\n(?=- )", "\n".join(lines))
    said = (plain(part).strip().removeprefix("- ") for part in parts)
    return [sentence for part in said if part for sentence in END.split(part)]


def test_every_sentence_has_a_test():
    said = sentences()
    assert len(said) > 50
    for sentence in said:
        found = [start for start in PROMISES if sentence.startswith(start)]
        assert len(found) == 1, f"no test is named for: {sentence}"
    for start in PROMISES:
        assert any(one.startswith(start) for one in said), f"SECURITY.md no longer says: {start}"


@pytest.mark.parametrize("named", sorted({*filter(None, PROMISES.values())}))
def test_the_tests_of_the_table_exist(named):
    file, function = named.split("::")
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {function}\(", text, re.MULTILINE)


def test_a_pictures_address_is_a_hash_of_it():
    store = MemoryMediaFileStorage("/media")
    first, again, other = (
        store.load_and_get_id(data, "image/png", "image") for data in (b"a", b"a", b"b")
    )
    assert first == again != other


def test_nothing_is_unpickled():
    """SECURITY.md: "nothing is unpickled"."""
    unpickling = re.compile(
        r"^\s*(import|from) (pickle|joblib|dill|shelve)|allow_pickle=True|torch\.load", re.M
    )
    files = [path for room in ("app", "pages", "pipeline") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    for path in files:
        if path.parent.name != "training":  # which no server runs
            assert not unpickling.search(path.read_text(encoding="utf-8")), path


def test_signing_in_is_off_by_default():
    assert read_settings({}).sign_in == 0


def test_the_container_has_no_root_and_nothing_to_write_to():
    """SECURITY.md: "it runs on a read-only file system with a tmpfs at `/tmp`"."""
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    last = image[image.rindex("\nFROM ") :]
    assert "\nUSER 10001\n" in last
    assert "pip install" not in last
    assert "site-packages/pip " in image  # removed before the copy
    compose = (ROOT / "docs/deploy/compose.yaml").read_text(encoding="utf-8")
    for line in ("read_only: true", "tmpfs: [/tmp]", "cap_drop: [ALL]", "no-new-privileges:true"):
        assert line in compose


def test_one_command_renews_the_digests(tmp_path):
    """SECURITY.md: "`make digests` names the base images by their present digests"."""
    files = ("Dockerfile", "docs/deploy/compose.yaml", "docs/deploy/digests.sh")
    (tmp_path / "docs/deploy").mkdir(parents=True)
    for name in files:
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "skopeo").write_text('#!/bin/sh\nprintf "sha256:%064d" "$DIGEST"\n')
    (tmp_path / "skopeo").chmod(0o755)
    for digest in "12":
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DIGEST": digest}
        subprocess.run([tmp_path / files[2]], env=environment, check=True, capture_output=True)
        image, compose = ((tmp_path / name).read_text(encoding="utf-8") for name in files[:2])
        assert f"ARG BASE=docker.io/library/python:3.11-slim@sha256:{digest:0>64}\n" in image
        assert f"image: docker.io/library/caddy:2@sha256:{digest:0>64}\n" in compose


def test_third_party_names_what_is_asked_for():
    """SECURITY.md: "lists the licences of all that ships"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["app"]
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    rows = {re.sub(r"[-_.]+", "-", row).lower() for row in re.findall(r"^\| (\S+)", listed, re.M)}
    assert {re.match(r"[\w.-]+", one)[0].lower() for one in asked} <= rows
