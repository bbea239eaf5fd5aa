"""The HTTP interface: the same answers, the same sentences, the same queue."""

import gzip
import hashlib
import tempfile
import time
from concurrent.futures import Future
from functools import partial

import anyio
import cv2
import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.http import api as interface
from app.http import auth, bodies
from pipeline.inference.diagnose import diagnose_bytes
from pipeline.io.radiograph import read_radiograph
from pipeline.models import registry
from pipeline.serving import self_check
from pipeline.serving.queue import InferenceQueue, Models, NoAnswer, Service
from pipeline.serving.stability import Background
from tests.report.test_fhir import by_code, validated
from tests.report.test_report_dicom import source


@pytest.fixture
def service(predictor, monkeypatch) -> Service:
    made = Service(Models(lambda _name: predictor), InferenceQueue())
    monkeypatch.setattr(interface, "service", lambda: made)
    yield made
    made.queue.stop()


@pytest.fixture
def client(service) -> TestClient:
    return TestClient(interface.api)


@pytest.mark.slow
def test_the_answer_is_the_command_lines(client, clear_png, predictor):
    answer = client.post("/diagnose", content=clear_png)
    assert answer.status_code == 200
    said, alone = answer.json(), diagnose_bytes(clear_png, predictor).as_dict()
    for key in ("sha256", "status", "model", "weights_sha256", "threshold", "positive"):
        assert said[key] == alone[key], key
    assert said["covid_probability"] == pytest.approx(alone["covid_probability"], abs=1e-5)
    assert said["covid_score"] == said["covid_probability"]
    assert said["note"] == "Not for diagnostic use."


def test_a_threshold_of_ones_own(client, clear_png):
    said = client.post("/diagnose?threshold=0", content=clear_png).json()
    assert said["threshold"] == 0
    assert said["positive"] is True


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_fhir_on_request(client, clear_png, release):
    answer = client.post(f"/diagnose?format=fhir&release={release}&threshold=0", content=clear_png)
    assert answer.headers["content-type"] == "application/fhir+json"
    resources = by_code(validated(answer.json(), release))
    assert resources["covid-score"]["referenceRange"][0]["high"]["value"] == 0
    record = client.post("/diagnose", content=clear_png).json()
    area = resources["lung-area"]["valueQuantity"]["value"]
    assert area == pytest.approx(record["lung_area_fraction"], abs=1e-6)


def test_fhir_of_a_dicom_film_refers_to_its_study(client, films):
    film = source(films["clear"][0])
    said = client.post("/diagnose?format=fhir", content=film).json()
    assert said["entry"][0]["resource"]["identifier"][0]["value"] == "urn:oid:1.2"


def test_eight_copies_are_read_where_one_asks(client, clear_png, service, monkeypatch):
    beside = Background(service)
    monkeypatch.setattr(interface, "background", lambda: beside)
    said = client.post("/diagnose?stability=true&threshold=0", content=clear_png).json()
    copies = said["stability"]
    assert copies["copies"] == len(copies["scores"]) == 8
    assert copies["low"] <= said["covid_score"] <= copies["high"]
    assert copies["changed"] == 0, "no score lies below 0"
    assert client.post("/diagnose", content=clear_png).json()["stability"] is None


@pytest.mark.parametrize("query", ["threshold=2", "threshold=high"])
def test_a_query_that_makes_no_sense_is_a_sentence(client, clear_png, query):
    answer = client.post(f"/diagnose?{query}", content=clear_png)
    assert answer.status_code == 422
    assert answer.json()["reasons"] == ["query_invalid"]
    assert answer.json()["sentences"][0].startswith("The value of threshold in the query")


def test_forms_and_packed_bodies_are_refused_in_words(client, clear_png):
    for options in (
        {"files": {"film": clear_png}},
        {"content": gzip.compress(clear_png), "headers": {"Content-Encoding": "gzip"}},
    ):
        answer = client.post("/diagnose", **options)
        assert answer.status_code == 415
        assert answer.json()["reasons"] == ["body_kind"]
        assert "send its bytes alone" in answer.json()["sentences"][0]
    curls = {"Content-Type": "application/x-www-form-urlencoded"}  # of --data-binary
    assert client.post("/diagnose", content=clear_png, headers=curls).status_code == 200


def test_a_withheld_score_says_why(client, films):
    inverted = cv2.imencode(".png", films["inverted"][0])[1].tobytes()
    said = client.post("/diagnose", content=inverted).json()
    assert said["status"] == "abstained"
    assert said["reasons"] == ["inverted"]
    assert said["sentences"][0].startswith("The image is inverted")
    assert said["covid_probability"] is None


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty"), (b"no film", "not_an_image"), (b"\x89PNG", "not_an_image")],
)
def test_what_is_no_film_is_a_sentence(client, content, code):
    answer = client.post("/diagnose", content=content)
    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert answer.json()["reasons"] == [code]
    assert answer.json()["sentences"][0].endswith(".")
    assert answer.json()["sha256"] == (hashlib.sha256(content).hexdigest() if content else None)


def test_a_model_that_is_not_there(client, clear_png):
    answer = client.post("/diagnose?model=resnet", content=clear_png)
    assert answer.status_code == 404
    assert answer.json()["reasons"] == ["model_unknown"]


def test_a_model_whose_weights_are_missing(client, clear_png, monkeypatch, tmp_path):
    kept = ("registry.json", "unet.weights.h5", "light.weights.h5")
    for name in kept:
        (tmp_path / name).symlink_to(registry.weights_folder() / name)
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(tmp_path))
    answer = client.post("/diagnose?model=xception", content=clear_png)
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["weights_missing"]
    assert "xception.weights.h5" in answer.json()["sentences"][0]


def test_too_much_is_refused_before_it_is_read(client, monkeypatch):
    monkeypatch.setattr(interface.bodies.config, "get_option", lambda _name: 1)
    answer = client.post("/diagnose", content=b"\0" * (1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["reasons"] == ["upload_large"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoAnswer("queue_full", count=64), 429),
        (NoAnswer("queue_patience", seconds=120), 503),
        (NoAnswer("stopping"), 503),
        (registry.WeightsError("weights_missing", file="light.weights.h5"), 503),
    ],
)
def test_nobody_can_answer(client, service, clear_png, monkeypatch, error, status):
    def refuse(*_):
        raise error

    monkeypatch.setattr(service, "submit", refuse)
    answer = client.post("/diagnose", content=clear_png)
    assert answer.status_code == status
    assert answer.json()["reasons"] == [error.message.code]


@pytest.fixture
def idle(monkeypatch) -> Service:
    """A server whose model never comes: what is asked of it waits."""
    made, never = Service(Models(str), InferenceQueue()), Future()
    monkeypatch.setattr(made.models, "prepare", lambda _name: never)
    monkeypatch.setattr(interface, "service", lambda: made)
    yield made
    made.queue.stop()


def test_health_answers_while_films_wait_and_too_many_are_refused(idle, monkeypatch):
    monkeypatch.setattr(interface, "OPEN", interface.bodies.Requests(60))
    monkeypatch.setattr(interface.self_check, "state", lambda *_: "ok")

    async def ask(content: bytes) -> None:
        transport = httpx.ASGITransport(interface.api)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://pulmoscope") as asker,
            anyio.create_task_group() as tasks,
        ):
            for _i in range(45):  # the shared pool has 40 threads
                tasks.start_soon(partial(asker.post, "/diagnose", content=content))
            try:
                with anyio.fail_after(60):
                    while idle.queue.depth() < 45:
                        await anyio.sleep(0.01)
                    assert (await asker.get("/health")).status_code == 200
                    refused = await asker.post("/diagnose", content=content)
            finally:
                idle.queue.refuse()
            assert refused.status_code == 429
            assert refused.json()["reasons"] == ["queue_full"]

    film = np.zeros((64, 64), np.uint8)
    anyio.run(ask, cv2.imencode(".png", film)[1].tobytes())


def test_who_hangs_up_leaves_the_queue(idle):
    """SECURITY.md: "A caller who hangs up leaves the queue." """
    film = cv2.imencode(".png", np.zeros((64, 64), np.uint8))[1].tobytes()

    async def ask() -> None:
        gone = anyio.Event()

        async def receive():
            if not gone.is_set() and not receive.sent:
                receive.sent = True
                return {"type": "http.request", "body": film}
            if not gone.is_set():  # as servers do, without a pause once it is known
                await gone.wait()
            return {"type": "http.disconnect"}

        receive.sent = False

        async def send(_message):
            pass

        asked = {"type": "http", "method": "POST", "path": "/diagnose", "query_string": b""}
        asked |= {"headers": [], "client": ("10.0.0.1", 5), "http_version": "1.1"}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interface.api, asked, receive, send)
            with anyio.fail_after(60):
                while not idle.queue.depth():
                    await anyio.sleep(0.01)
                gone.set()
                while idle.queue.depth():
                    await anyio.sleep(0.01)

    anyio.run(ask)


def test_a_queue_that_stops_answers_all(idle, clear_png, monkeypatch):
    monkeypatch.setattr(idle, "submit", partial(_refused_soon, idle))
    answer = TestClient(interface.api).post("/diagnose", content=clear_png)
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["stopping"])


def _refused_soon(idle, *film):
    ticket = Service.submit(idle, *film)
    idle.queue.refuse()
    return ticket


def test_an_unforeseen_error_is_a_sentence_without_its_text(idle, clear_png, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("Secret^Patient")

    monkeypatch.setattr(interface.films, "decode", fail)
    answer = TestClient(interface.api).post("/diagnose", content=clear_png)
    assert answer.status_code == 500
    assert answer.json()["reasons"] == ["film_failed"]
    assert "Secret" not in answer.text + caplog.text


def test_openapi_describes_it_and_its_page_loads_nothing_from_outside(client):
    described = client.get("/openapi.json").json()
    operation = described["paths"]["/diagnose"]["post"]
    assert set(operation["responses"]) >= {"200", "400", "401", "404", "413", "429", "503"}
    assert "application/octet-stream" in operation["requestBody"]["content"]
    page = client.get("/docs").text
    assert "https://" not in page
    assert "swagger-ui" in page


def test_health_is_green_only_with_the_golden_answer(client, service, predictor, monkeypatch):
    monkeypatch.setattr(self_check, "_states", {})
    service.models.prepare("light").result(60)
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "models": {"light": "ok"}, "files": {}}
    monkeypatch.setattr(self_check, "_states", {})
    monkeypatch.setattr(self_check, "score", lambda _predictor: 0.9)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert "gets 0.9000 instead of" in answer.json()["models"]["light"]


def test_health_waits_for_the_model(monkeypatch):
    forever = Models(lambda _name: time.sleep(5))
    monkeypatch.setattr(interface, "service", lambda: Service(forever, InferenceQueue()))
    answer = TestClient(interface.api).get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "models": {"light": "loading"}, "files": {}}


def test_every_released_model_has_a_canary():
    models = registry.read_registry()["models"]
    for name in registry.classifiers():
        assert 0 <= models[name]["canary"] <= 1


ISSUER, CLIENT = "https://provider.example", "pulmoscope"


@pytest.fixture
def provider(monkeypatch) -> RSAKey:
    """A provider of which the server knows the public key alone."""
    key = RSAKey.generate_key(2048, {"kid": "1"})
    secrets = {"auth": {"client_id": CLIENT, "server_metadata_url": f"{ISSUER}/about"}}
    public = KeySet([key]).as_dict(private=False)
    answers = {
        f"{ISSUER}/about": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"},
        f"{ISSUER}/keys": public,
    }
    monkeypatch.setenv("PULMOSCOPE_SIGN_IN", "1")
    monkeypatch.setattr(auth, "_fetch", answers.__getitem__)
    monkeypatch.setattr(auth, "provider", auth.Provider())
    monkeypatch.setattr(auth.st, "secrets", secrets)
    return key


def token(key: RSAKey, **changes) -> str:
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "reader", "exp": int(time.time()) + 60}
    return jwt.encode({"alg": "RS256", "kid": "1"}, claims | changes, key)


def ask_with(client, clear_png, value: str | None) -> int:
    headers = {} if value is None else {"Authorization": value}
    return client.post("/diagnose", content=clear_png, headers=headers).status_code


def test_a_signed_token_opens_the_interface(client, clear_png, provider):
    assert ask_with(client, clear_png, f"Bearer {token(provider)}") == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "other"},
        {"exp": 1},
        {"nbf": int(time.time()) + 600},
    ],
    ids=["issuer", "audience", "expired", "not yet"],
)
def test_a_token_for_something_else_does_not(client, clear_png, provider, changes):
    assert ask_with(client, clear_png, f"Bearer {token(provider, **changes)}") == 401


def test_clocks_may_differ_by_a_minute(client, clear_png, provider):
    late = token(provider, exp=int(time.time()) - 20)
    assert ask_with(client, clear_png, f"Bearer {late}") == 200


def test_nor_does_a_token_of_another_key_or_none(client, clear_png, provider):
    stranger = RSAKey.generate_key(2048, {"kid": "1"})
    unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkZXIifQ."
    for value in (None, "", "Bearer", "Basic x", f"Bearer {token(stranger)}", f"Bearer {unsigned}"):
        assert ask_with(client, clear_png, value) == 401
    answer = client.post("/diagnose", content=clear_png)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["reasons"] == ["token_needed"]


@pytest.mark.slow
def test_films_of_other_programs_share_passes(client, predictor, service):
    """Four films at once get the answers that each gets alone."""
    drawn = np.random.default_rng(7).integers(0, 255, (4, 96, 96), np.uint8)
    coded = [cv2.imencode(".png", film)[1].tobytes() for film in drawn]
    gate = service.models.prepare("light")
    tickets = [
        service.queue.submit(f"{n}", read_radiograph(data), gate) for n, data in enumerate(coded)
    ]
    for ticket, data in zip(tickets, coded, strict=True):
        assert ticket.wait(60)
        alone = diagnose_bytes(data, predictor)
        assert ticket.result().score == pytest.approx(alone.score, abs=1e-5)
        assert ticket.result().status == alone.status


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_upload_is_never_spooled_to_disk(monkeypatch):
    """SECURITY.md: "It is never written to disk." Streamlit's uploads are multipart forms, which
    Starlette puts into temporary files."""

    async def take(request):
        form = await request.form()
        return PlainTextResponse(str(len(await form["file"].read())))

    def refuse(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    films = TestClient(Starlette(routes=[Route("/", take, methods=["POST"])]))
    film = b"\0" * 5_000_000
    assert bodies.MultiPartParser.spool_max_size > 64 * 2**20
    assert films.post("/", files={"file": ("film.dcm", film)}).text == "5000000"
    monkeypatch.setattr(bodies.MultiPartParser, "spool_max_size", 2**20)
    with pytest.raises(OSError, match="no space left"):  # so that this test can fail
        films.post("/", files={"file": ("film.dcm", film)})
