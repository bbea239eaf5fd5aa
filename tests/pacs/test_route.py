"""Images sent with dcmtk's storescu: what is answered, refused, and passed on."""

import gc
import io
import subprocess
from contextlib import contextmanager

import pydicom
import pytest

from pipeline.cli.main import main
from pipeline.io.radiograph import read_radiograph
from pipeline.pacs.archive import Archive, Criteria
from pipeline.pacs.credentials import Credentials
from pipeline.pacs.route import NOT_UNDERSTOOD, SUCCESS, TRY_AGAIN, Router, listen, to_node
from pipeline.pacs.transport import PacsError
from pipeline.serving.queue import NoAnswer
from tests.drawn import two_ellipses
from tests.pacs.orthanc import running_orthanc
from tests.report.test_report import answer_on
from tests.report.test_report_dicom import missing, source

dcmtk = pytest.mark.skipif(missing("storescu"), reason="dcmtk is not installed")


@pytest.fixture(scope="module")
def phantom():
    """A DICOM file with two dark ellipses, and their mask."""
    film, lungs = two_ellipses()
    return source(film), lungs


@pytest.fixture
def router(phantom):
    """A router that keeps what it would send."""
    sent: list[bytes] = []
    made = Router(lambda film, party: answer_on(film, phantom[1]), sent.extend)
    return made, sent


@contextmanager
def listening(router: Router):
    server = listen(router, "PULMOSCOPE", ["MODALITY"], ("127.0.0.1", 0), block=False)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def ask(program: str, port: int, *more: str, caller="MODALITY", called="PULMOSCOPE") -> str:
    """What dcmtk's program says, and its exit status as the last word."""
    where = ["-v", "-aet", caller, "-aec", called, "127.0.0.1", str(port)]
    run = subprocess.run([program, *where, *more], capture_output=True, text=True, check=False)
    return f"{run.stdout}{run.stderr} exit {run.returncode}"


@dcmtk
def test_echo_and_store(router, phantom, tmp_path):
    made, sent = router
    (tmp_path / "film.dcm").write_bytes(phantom[0])
    with listening(made) as port:
        assert ask("echoscu", port).endswith("exit 0")
        said = ask("storescu", port, str(tmp_path / "film.dcm"))
    assert "Success" in said and said.endswith("exit 0")
    kinds = {pydicom.dcmread(io.BytesIO(data)).Modality for data in sent}
    assert {"SEG", "SR"} <= kinds
    studies = {pydicom.dcmread(io.BytesIO(data)).StudyInstanceUID for data in sent}
    assert studies == {"1.2"}


@dcmtk
def test_strangers_and_other_titles_are_turned_away(router):
    with listening(router[0]) as port:
        assert "Calling AE Title Not Recognized" in ask("echoscu", port, caller="STRANGER")
        assert "Called AE Title Not Recognized" in ask("echoscu", port, called="OTHER")


@pytest.mark.parametrize(
    "ask_or_send, error, status",
    [
        ("ask", NoAnswer("queue_full", count=64), TRY_AGAIN),
        ("send", PacsError("pacs_unreachable"), TRY_AGAIN),
        ("ask", ValueError("Müller^Zoë"), NOT_UNDERSTOOD),
    ],
)
def test_what_fails_here_has_the_status_that_says_whether_to_try_again(
    phantom, router, caplog, ask_or_send, error, status
):
    def fail(*_):
        raise error

    made = Router(**{"ask": router[0].ask, "send": router[0].send, ask_or_send: fail})
    answer = made.take(phantom[0], "aet:MODALITY")
    assert answer.Status == status
    assert "Müller" not in answer.ErrorComment + caplog.text
    assert len(answer.ErrorComment) <= 64


@pytest.mark.parametrize(
    "changes", [{"Modality": "MR"}, {"PixelData": b"\0\0"}, {"AccessionNumber": "A" * 17}]
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_read_or_have_results_is_refused_for_good(phantom, router, changes):
    film = pydicom.dcmread(io.BytesIO(phantom[0]))
    for keyword, value in changes.items():
        setattr(film, keyword, value)
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    assert router[0].take(buffer.getvalue(), "aet:MODALITY").Status == NOT_UNDERSTOOD
    assert router[1] == []


# pynetdicom leaves the socket of a refused connection to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_results_go_to_a_node_and_a_missing_one_is_a_sentence(phantom, tmp_path):
    diagnosis = answer_on(read_radiograph(phantom[0]), phantom[1])
    with running_orthanc(tmp_path) as (address, port):
        send = to_node("ORTHANC", "127.0.0.1", port, "PULMOSCOPE")
        made = Router(lambda film, party: diagnosis, send)
        assert made.take(phantom[0], "aet:MODALITY").Status == SUCCESS
        archive = Archive(address, Credentials("reader", "secret"))
        found, _more = archive.search(Criteria(modalities=("SEG", "SR")))
        assert sorted(image.modality for image in found) == ["SEG", "SR"]
    assert made.take(phantom[0], "aet:MODALITY").ErrorComment == "pacs_unreachable"
    gc.collect()


@pytest.mark.parametrize("to", [[], ["--to", "nowhere"]])
def test_the_command_needs_to_know_where_results_go(to, monkeypatch, capsys):
    monkeypatch.delenv("PULMOSCOPE_PACS", raising=False)
    monkeypatch.setattr("pipeline.cli.route.keep_identity_out", lambda: None)
    monkeypatch.setenv("PULMOSCOPE_LOG", "0")
    assert main(["route", "--allow", "A", *to]) == 2
    assert "TITLE@HOST:PORT" in capsys.readouterr().err
