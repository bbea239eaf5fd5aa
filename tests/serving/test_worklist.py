"""The work list: a row for every file, the same as alone; cancel; tables that do no harm."""

import csv
import gc
import io
import re
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Future

import cv2
import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from app.session import cases
from pipeline.data.phantom import EXAMPLES
from pipeline.inference.diagnose import diagnose_bytes
from pipeline.io import archive
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.report.tables import COLUMNS, LONGEST, write_csv, write_xlsx
from pipeline.serving import worklist
from pipeline.serving.worklist import Row, Source, WorkList, gather, read_row, synthetic_sources
from pipeline.text.messages import Message
from tests.conftest import ROOT
from tests.io.test_archive import pack


def done(value) -> Future:
    future = Future()
    future.set_result(value)
    return future


def source(name: str, data: bytes = b"") -> Source:
    return Source(name, lambda: data)


@pytest.fixture(scope="module")
def pngs(films) -> dict[str, bytes]:
    return {name: cv2.imencode(".png", film)[1].tobytes() for name, (film, _) in films.items()}


@pytest.fixture(scope="module")
def work(pngs, predictor) -> WorkList:
    """Loose films, one in a ZIP, and files that are none, read as the page reads them."""
    names = ("clear", "opacities", "inverted")
    files = [(f"{name}.png", pngs[name]) for name in names]
    files.insert(1, ("notes.png", b"this is no picture"))
    zipped = {"in.png": pngs["clear"], "../out.png": b"x", "none.png": b""}
    sources, left_out = gather([*files, ("films.zip", pack(zipped)), ("cut.zip", b"PK\x03\x04")])
    assert left_out is None
    work = WorkList(sources, done(predictor))
    work.wait(120)
    assert not work.running
    assert work.seconds_left() == 0
    return work


@pytest.fixture(scope="module")
def rows(work) -> tuple[Row, ...]:
    return work.rows


@pytest.mark.slow
def test_every_file_has_its_row_and_bad_ones_stop_nothing(rows):
    assert [(row.source.name, row.record["status"], row.record["reasons"]) for row in rows] == [
        ("clear.png", "ok", []),
        ("notes.png", "error", ["not_an_image"]),
        ("opacities.png", "ok", []),
        ("inverted.png", "abstained", ["inverted"]),
        ("in.png", "ok", []),
        ("../out.png", "error", ["entry_name"]),
        ("none.png", "error", ["empty"]),
        ("cut.zip", "error", ["archive_damaged"]),
    ]


def test_a_row_is_exactly_what_the_film_gets_alone(rows, pngs, predictor):
    for row in rows:
        name = row.source.name.replace("in.png", "clear.png")
        if row.record["status"] == "error":
            continue
        alone = diagnose_bytes(pngs[name.removesuffix(".png")], predictor)
        expected = alone.as_dict() | {"seconds": row.record["seconds"]}
        assert row.record == expected, "bit for bit"
        assert row.reasons == alone.verdict.reasons


def test_a_row_keeps_a_small_picture_and_no_arrays(rows):
    for row in rows:
        if row.record["status"] == "error":
            assert row.thumbnail_url is None
            continue
        small = cv2.imdecode(np.frombuffer(row.thumbnail, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert small.shape == (96, 96)
        assert len(row.thumbnail) < 6_000
        assert row.thumbnail_url.startswith("data:image/jpeg;base64,")
        assert not any(isinstance(value, np.ndarray) for value in row.record.values())


def test_what_nobody_foresaw_is_a_row_and_says_nothing_of_the_film(predictor, caplog):
    def fail():
        raise MemoryError("Secret Patient")

    row = read_row(Source("Secret Patient.png", fail), predictor)
    assert row.record["reasons"] == ["film_failed"]
    assert caplog.messages == ["a film failed: MemoryError"]
    assert "Secret" not in caplog.text


def test_synthetic_sources_are_films(predictor):
    assert [s.name for s in synthetic_sources()] == [f"{name}.png" for name in EXAMPLES]
    assert {s.origin for s in synthetic_sources()} == {"synthetic"}
    assert synthetic_sources()[0].read().startswith(b"\x89PNG")


@pytest.fixture
def page(monkeypatch) -> AppTest:
    monkeypatch.delenv("PULMOSCOPE_DATA", raising=False)
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120).run()
    return page.switch_page("../pages/worklist.py")


@pytest.mark.slow
def test_the_empty_page_teaches(page):
    page.run()
    assert not page.exception
    assert page.title[0].value == "Work list"
    assert "Drop several images or a ZIP above" in page.info[0].value
    assert "Not for diagnostic use" in page.warning[0].value


@pytest.mark.slow
def test_the_page_shows_every_row_in_words(page, work):
    page.session_state["worklist"] = work
    page.session_state["language"] = "fr"
    page.run()
    assert not page.exception
    assert page.title[0].value == "Liste de travail"
    assert "✕ Illisible **4**" in page.markdown[0].value
    table = page.dataframe[0].value
    scores = list(table["score"].dropna())
    assert len(scores) > 1 and scores == sorted(scores, reverse=True), "the highest first"
    assert [verdict[0] in "▲▽" for verdict in table["verdict"]] == list(table["score"].notna())
    assert any("Le fichier est vide" in verdict for verdict in table["verdict"])
    assert table["film"].isna().sum() == 4
    (forget,) = [b for b in page.button if b.label == "Effacer cette liste"]
    forget.click().run()
    assert "worklist" not in page.session_state
    assert not page.dataframe


@pytest.mark.slow
def test_synthetic_films_are_one_click_away(page):
    page.run()
    (button,) = [b for b in page.button if b.label == "Try it with synthetic images"]
    button.click().run()
    assert not page.exception
    work = page.session_state["worklist"]
    assert work.total == len(EXAMPLES)
    assert "Cancel" in [b.label for b in page.button]
    work.cancel()
    work.wait(60)
    page.run()
    assert "Cancelled after" in page.info[0].value


@pytest.mark.slow
def test_the_page_says_when_the_model_does_not_load(page):
    broken = Future()
    broken.set_exception(RuntimeError("no weights"))
    page.session_state["worklist"] = WorkList([source("a")], broken)
    page.session_state["worklist"].wait(5)
    page.run()
    assert not page.exception
    assert "The model cannot be loaded" in page.error[0].value


def test_films_that_are_opened_do_not_pile_up(monkeypatch, pngs):
    monkeypatch.setattr("streamlit.session_state", {})
    for name, data in pngs.items():
        cases.open_listed(name, "upload", data)
        assert cases.selected_case().name == name
    assert [case.name for case in cases.cases().values()] == list(pngs)[-cases.LISTED :]


class Slow:
    """A source that waits until it is let go."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self) -> bytes:
        self.asked.set()
        assert self.go.wait(20)
        return b"this is no picture"


def test_cancel_keeps_what_was_read(predictor):
    slow = Slow()
    work = WorkList([source("a"), Source("b", slow), *[source("c")] * 50], done(predictor))
    assert slow.asked.wait(20)
    while not work.rows:
        time.sleep(0.01)
    assert work.running
    assert work.seconds_left() >= 0
    work.cancel()
    slow.go.set()
    work.wait(20)
    assert not work.running
    assert work.cancelled
    assert [row.source.name for row in work.rows] == ["a", "b"]


def test_the_next_image_is_read_while_one_is_computed(predictor):
    slow, read = Slow(), threading.Event()

    def note() -> bytes:
        read.set()
        return b""

    work = WorkList([Source("a", slow), Source("b", note)], done(predictor))
    assert slow.asked.wait(20) and read.wait(20)
    assert work.rows == (), "rows keep the order of their files"
    slow.go.set()
    work.wait(20)
    assert [row.source.name for row in work.rows] == ["a", "b"]
    assert not work.cancelled


def test_cancel_while_the_model_loads():
    work = WorkList([source("a")], Future())
    assert work.running
    assert work.seconds_left() is None
    work.cancel()
    work.wait(5)
    assert not work.running
    assert work.rows == ()


def test_a_model_that_does_not_load_is_said_once():
    broken = Future()
    broken.set_exception(RuntimeError("/secret/path"))
    work = WorkList([source("a"), source("b")], broken)
    work.wait(5)
    assert work.problem == Message("no_model")
    assert work.rows == ()


def test_a_list_that_nobody_holds_stops(predictor):
    slow = Slow()
    read = []

    def count() -> bytes:
        read.append(1)
        return b""

    work = WorkList([Source("a", slow), *[Source("b", count)] * 50], done(predictor))
    assert slow.asked.wait(20)
    thread, gone = work._progress.thread, weakref.ref(work)
    del work
    gc.collect()
    assert gone() is None
    slow.go.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(read) < worklist.READERS, "none but those that were being read beside it"


@pytest.mark.slow
def test_python_does_not_end_within_a_film():
    program = """
import time
from concurrent.futures import Future
from pipeline.serving.worklist import Source, WorkList

def read():
    print("begun", flush=True)
    time.sleep(0.5)
    print("ended", flush=True)
    return b""

entry = type("entry", (), {"name": "none", "sha256": "", "threshold": 0.5})
predictor = Future()
predictor.set_result(type("predictor", (), {"entry": entry}))
work = WorkList([Source("a", read)] * 9, predictor)
while not work.seconds_left():
    time.sleep(0.01)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = ended.stdout.split()
    assert lines[-1] == "ended"
    assert 2 <= len(lines) < 18


def test_files_beyond_the_limits_are_left_out_with_a_sentence(monkeypatch):
    sources, left_out = gather((f"{i}.png", b"x") for i in range(archive.MAX_FILMS + 7))
    assert len(sources) == archive.MAX_FILMS
    assert left_out.code == "list_full"
    assert "Left out: 7." in left_out.sentence()
    monkeypatch.setattr(worklist, "MAX_HELD_MB", 2)
    big = bytes(1_500_000)
    sources, left_out = gather([("a", big), ("b", big), ("c", b"small")])
    assert [s.name for s in sources] == ["a", "c"]
    assert left_out.values["count"] == 1


def test_an_archive_that_does_not_fit_any_more_is_left_out_as_a_whole():
    files = [(f"{i}.png", b"x") for i in range(archive.MAX_FILMS - 1)]
    sources, left_out = gather([*files, ("two.zip", pack({"a.png": b"", "b.png": b""}))])
    assert len(sources) == archive.MAX_FILMS - 1
    assert left_out.values["count"] == 2


def test_csv(rows):
    data = write_csv(rows, lambda text: text.replace("empty", "vidé"))
    assert data.startswith(b"\xef\xbb\xbf"), "by this Excel knows that it is UTF-8"
    table = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert tuple(table[0]) == COLUMNS
    assert len(table) == len(rows)
    by_name = {line["file"]: line for line in table}
    clear, record = by_name["clear.png"], rows[0].record
    for name in ("sha256", "weights_sha256", "unet_sha256", "model", "status", "version"):
        assert clear[name] == record[name]
    assert float(clear["covid_probability"]) == record["covid_probability"]
    assert float(clear["threshold"]) == record["threshold"]
    assert float(clear["lung_area_fraction"]) == record["lung_area_fraction"]
    assert clear["positive"] == str(record["positive"]).lower()
    inverted = by_name["inverted.png"]
    assert inverted["covid_probability"] == inverted["positive"] == ""
    assert inverted["reasons"] == "inverted"
    assert inverted["sentences"] == Message("inverted").sentence()
    assert by_name["none.png"]["sentences"].startswith("The file is vidé")


def test_xlsx_holds_the_same_with_numbers_as_numbers(rows):
    book = openpyxl.load_workbook(io.BytesIO(write_xlsx(rows)))
    (sheet,) = book.worksheets
    assert sheet.title == "Not for diagnostic use"
    header, *lines = sheet.iter_rows(values_only=True)
    assert header == COLUMNS
    for row, line in zip(rows, lines, strict=True):
        cells = dict(zip(COLUMNS, line, strict=True))
        assert cells["file"] == row.source.name
        for name in ("covid_probability", "positive", "sha256", "seconds"):
            expected = row.record.get(name)
            assert cells[name] == (pytest.approx(expected) if name != "sha256" else expected)


def test_nothing_is_written_to_disk_for_a_table(rows, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a temporary file")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert write_xlsx(rows).startswith(b"PK")


def cells_of(name: str) -> tuple[str, openpyxl.cell.Cell]:
    """A file's name as the CSV and the workbook hold it."""
    record = {"status": "error", "threshold": 0.5}
    row = Row(source(name), record, (Message("empty"),))
    (line,) = csv.DictReader(io.StringIO(write_csv([row]).decode("utf-8-sig"), newline=""))
    sheet = openpyxl.load_workbook(io.BytesIO(write_xlsx([row]))).active
    return line["file"], sheet["A2"]


@pytest.mark.parametrize(
    "name",
    [
        "=HYPERLINK(1)",
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "  =1",
        "\u00a0=1",
        "=cmd|' /C calc'!A0",
    ],
)
def test_a_name_that_is_a_formula_is_text(name):
    in_csv, in_book = cells_of(name)
    assert in_csv.startswith("'")
    assert in_book.data_type == "s"
    assert in_book.value.startswith("'")


@pytest.mark.slow
@given(name=st.text(st.characters(codec=None, exclude_categories=()), max_size=30))
@settings(deadline=None)
def test_any_name_makes_a_table(name):
    in_csv, in_book = cells_of(name)
    assert not in_csv.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert in_book.data_type != "f"
    assert "\n" not in in_csv
    assert "\u202e" not in in_csv, "a name that turns the text's direction hides its ending"


@pytest.mark.parametrize("separator", [";", ",", "\t", "|", "; ", ';"', ';""', ";\u00a0"])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝"])
def test_nor_does_a_formula_begin_behind_a_separator(separator, sign):
    """A French spreadsheet divides a line at semicolons, others at tabs, whatever we wrote."""
    name = f"a{separator}{sign}cmd|' /C calc'!A0"
    record = {"status": "error", "threshold": 0.5}
    row = Row(source(name), record, (Message("modality", {"modality": name, "known": "CR"}),))
    for line in write_csv([row]).decode("utf-8-sig").splitlines()[1:]:
        for cell in re.split(r"[,;\t|]", line):
            assert not cell.lstrip(' "\u00a0').startswith(sign), cell


def test_a_name_without_end_is_cut():
    assert len(cells_of("x" * 70_000)[0]) == LONGEST


def test_reading_from_an_archive_twice_and_from_two_threads(pngs):
    sources, _ = gather([("films.zip", pack(pngs))])
    wrong = []

    def read(times: int = 20) -> None:
        for _ in range(times):
            wrong.extend(s.name for s in sources if s.read() != pngs[s.name])

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_refused_archive_keeps_its_values():
    too_many = pack({f"{i}.png": b"" for i in range(archive.MAX_FILMS + 1)})
    ((refused,), _) = gather([("many.zip", too_many)])
    with pytest.raises(UnreadableRadiograph, match="201 files, more than 200"):
        refused.read()


def test_time_left_is_an_estimate_of_what_is_to_come(predictor, monkeypatch):
    slow = Slow()
    work = WorkList([source("a"), Source("b", slow), source("c")], done(predictor))
    assert slow.asked.wait(20)
    end = time.monotonic() + 20
    while (
        not work.rows and time.monotonic() < end
    ):  # the second is read while the first is computed
        time.sleep(0.01)
    now = time.monotonic()
    monkeypatch.setattr(work._progress, "began", now - 10)
    assert work.seconds_left() == pytest.approx(20, abs=1)
    slow.go.set()
    work.wait(20)
