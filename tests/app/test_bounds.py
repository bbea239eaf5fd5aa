"""What strangers may do to the server's door: addresses, bodies, uploads, cookies, sign-in."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from app.http import auth, bodies, closing, party
from app.session import sign_in
from pipeline.serving import budget
from pipeline.serving.budget import Budget
from pipeline.serving.queue import NoAnswer


def scope(path="/v1/diagnose", client=("10.0.0.9", 1234), method="POST", **headers) -> dict:
    named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "client": client,
        "headers": named,
        "query_string": b"",
        "scheme": "http",
    }


async def call(app, asked: dict, *parts: bytes, wait: float = 0) -> SimpleNamespace:
    """What an ASGI application answers; with ``wait`` the body stops after its parts."""
    left, sent = list(parts), []

    async def receive():
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left or wait)}
        await asyncio.sleep(wait or 3600)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(asked, receive, send)
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent)
    return SimpleNamespace(status=sent[0]["status"], headers=headers, body=body)


# -- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "forwarded", "proxies", "found"),
    [
        (("10.0.0.9", 5), None, "", "10.0.0.9"),
        (("10.0.0.9", 5), "1.2.3.4", "", "10.0.0.9"),  # nobody is believed
        (("10.0.0.9", 5), "1.2.3.4", "10.0.0.8", "10.0.0.9"),
        (("10.0.0.9", 5), "1.2.3.4", "10.0.0.0/8", "1.2.3.4"),
        (("10.0.0.9", 5), "6.6.6.6, 1.2.3.4", "10.0.0.9", "1.2.3.4"),  # the first is the client's
        (("10.0.0.9", 5), "1.2.3.4, 10.0.0.8", "10.0.0.0/8", "1.2.3.4"),
        (("10.0.0.9", 5), "rubbish", "10.0.0.9", "rubbish"),
        # uvicorn has already believed a local peer, and tells so by the port 0.
        (("1.2.3.4", 0), "1.2.3.4", "", party.FORWARDED),
        (("1.2.3.4", 0), "1.2.3.4", "127.0.0.1", "1.2.3.4"),
        (None, None, "", "127.0.0.1"),
    ],
)
def test_forwarded_addresses_are_believed_from_known_proxies_alone(
    client, forwarded, proxies, found
):
    headers = {"x_forwarded_for": forwarded} if forwarded else {}
    assert party.address_of(scope(client=client, **headers), proxies) == found


# -- bodies -----------------------------------------------------------------------------------


def test_one_party_leaves_places_to_others():
    requests = bodies.Requests(8)
    held = [requests.one("greedy") for _ in range(6)]
    for one in held:
        one.__enter__()
    with pytest.raises(NoAnswer), requests.one("greedy"):
        pass
    with requests.one("reader"), requests.one("other"), pytest.raises(NoAnswer):
        requests.one("third").__enter__()
    for one in held:
        one.__exit__(None, None, None)
    assert not requests._open


@pytest.fixture
def shared(monkeypatch) -> Budget:
    made = Budget(1000)
    for name in ("bodies", "files"):
        monkeypatch.setattr(budget, name, lambda: made)
    monkeypatch.setattr(bodies, "longest", lambda: 500)
    monkeypatch.setattr(bodies, "GRACE", 0.2)
    monkeypatch.setattr(bodies, "PATIENCE", 0.2)
    return made


def take(shared, *parts: bytes, wait: float = 0, **headers):
    """What `take_body` gives of a request, and what the budget was meanwhile."""
    seen = []

    async def application(asked, receive, send):
        request = Request(asked, receive)

        async def stream():
            async for part in Request.stream(request):
                seen.append(shared.used)
                yield part

        request.stream = stream
        data, place = await bodies.take_body(request, "a")
        with place:
            seen.append(shared.used)
        await Response(data)(asked, receive, send)

    return asyncio.run(call(application, scope(**headers), *parts, wait=wait)).body, seen


def test_a_body_has_its_place_before_its_first_byte(shared):
    data, used = take(shared, b"a" * 40, b"b" * 60, content_length="100")
    assert data == b"a" * 40 + b"b" * 60
    assert set(used) == {100}
    assert shared.used == 0


@pytest.mark.parametrize(
    "headers", [{"content_length": "501"}, {"content_length": "100"}, {"content_length": "5"}]
)
def test_a_refused_body_is_read_to_its_end_so_that_its_caller_hears_why(shared, headers):
    """SECURITY.md: "What finds no room gets a sentence"."""
    came = [{"type": "http.request", "body": b"a" * 9, "more_body": more} for more in (1, 1, 0)]
    coming = iter(came)

    async def receive():
        return next(coming)

    async def refused():
        with shared.ask(950, "b"):
            await bodies.take_body(Request(scope(**headers), receive), "a")

    if headers["content_length"] == "5":  # fits, and is longer than it said it would be
        came[1:1] = [{"type": "http.request", "body": b"a" * 501, "more_body": True}]
        coming = iter(came)
    with pytest.raises((NoAnswer, bodies.TooLarge)):
        asyncio.run(refused())
    assert next(coming, None) is None
    assert shared.used == 0


def test_a_body_of_unknown_length_has_the_longest(shared):
    assert set(take(shared, b"a", b"b")[1]) == {500}


def test_a_body_that_does_not_come_is_ended_and_its_place_given_back(shared):
    """SECURITY.md: "A body that does not come is ended"."""
    with pytest.raises(bodies.Slow):
        take(shared, b"a", content_length="100", wait=60)
    assert shared.used == 0


def test_a_body_may_be_slow_as_long_as_it_comes(monkeypatch):
    pace = bodies.Pace()
    pace.count(b"\0" * 10_000_000)
    assert asyncio.run(pace.next(asyncio.sleep(0, "part"))) == "part"
    monkeypatch.setattr(pace, "_began", pace._began - bodies.GRACE - 41)  # it has had its 50 s
    pace._bytes = 0
    with pytest.raises(bodies.Slow):
        asyncio.run(pace.next(asyncio.sleep(60)))


def test_too_much_is_refused_by_what_it_says_and_by_what_it_is(shared):
    for headers in ({"content_length": "501"}, {}, {"content_length": "4"}):
        with pytest.raises(bodies.TooLarge):
            take(shared, b"a" * 400, b"b" * 101, **headers)
    assert shared.used == 0


def test_without_room_it_is_refused_before_it_is_read(shared):
    shared.ask(1000, "b")
    with pytest.raises(NoAnswer) as caught:
        take(shared, b"a", content_length="100")
    assert caught.value.message.code == "no_room"


def test_who_hangs_up_waits_for_nothing(shared):
    shared.ask(1000, "b")
    place = shared.ask(10, "a")

    async def hung_up():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        asyncio.run(bodies.until_granted(place, Request(scope(), hung_up)))
    assert not shared._waiting


# -- Streamlit's upload route -----------------------------------------------------------------


async def keep(asked, receive, send):
    """Stands in for Streamlit."""
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("kept")(asked, receive, send)


UPLOAD = {"path": "/_stcore/upload_file/session/file", "method": "PUT"}


def upload(*parts: bytes, wait: float = 0, size: int = 100):
    asked = scope(**UPLOAD, content_length=str(size))
    return asyncio.run(call(bodies.Uploads(keep), asked, *parts, wait=wait))


def test_uploads_have_a_pace_and_a_place(shared):
    assert upload(b"film").body == b"kept"
    slow = upload(b"film", wait=60)
    assert (slow.status, slow.headers["connection"]) == (408, "close")
    shared.ask(950, "b")
    full = upload(b"film")
    assert full.status == 429
    assert full.body.decode().endswith("try again in a minute.")


def test_one_party_keeps_half_of_the_files_at_most(shared, monkeypatch):
    monkeypatch.setattr(bodies, "stored", lambda: {"session": 450})
    assert upload(b"film").status == 429
    monkeypatch.setattr(bodies, "stored", lambda: {"other": 450})
    assert upload(b"film").status == 200


def test_an_upload_for_a_stranger_is_refused(shared, monkeypatch):
    """SECURITY.md: "With signing in on, a file is taken for signed-in sessions alone"."""
    monkeypatch.setenv("PULMOSCOPE_SIGN_IN", "1")
    assert upload(b"film").status == 401
    monkeypatch.setattr(sign_in, "_admitted", {"session": sign_in.time.time() - 30})  # leeway
    assert upload(b"film").status == 200
    monkeypatch.setattr(sign_in, "_admitted", {"session": sign_in.time.time() - 90})
    assert upload(b"film").status == 401


# -- what is handed out -----------------------------------------------------------------------


def answer(path: str, **headers):
    async def application(asked, receive, send):
        said = PlainTextResponse("film")
        said.set_cookie("_streamlit_user", "x", httponly=True)
        said.set_cookie("already", "x", secure=True)
        await said(asked, receive, send)

    asked = scope(path, method="GET", **headers)
    cookies, sent = [], []

    async def send(message):
        sent.append(message)

    asyncio.run(closing.Closing(application)(asked, None, send))
    for name, value in sent[0]["headers"]:
        if name == b"set-cookie":
            cookies.append(value.decode())
    return sent[0]["status"], dict(sent[0]["headers"]), cookies


def test_pictures_and_answers_are_stored_nowhere():
    """SECURITY.md: "Pictures and answers are served with `no-store`"."""
    for path in ("/media/abc.png", "/v1/diagnose"):
        assert answer(path)[1][b"cache-control"] == b"no-store"
    assert b"cache-control" not in answer("/app/static/inter.woff2")[1]


def test_cookies_are_secure_behind_tls():
    """SECURITY.md: "behind TLS cookies are Secure"."""
    for cookie in answer("/", x_forwarded_proto="https")[2]:
        assert cookie.lower().count("; secure") == 1
    assert "secure" not in answer("/")[2][0].lower()


def test_streamlits_counters_are_not_there():
    assert answer("/_stcore/metrics")[0] == 404
    assert answer("/_stcore/health")[0] == 200


def test_with_sign_in_only_health_is_open(monkeypatch):
    """SECURITY.md: "`/v1/health` and the fonts stay open"."""

    async def application(asked, receive, send):
        await PlainTextResponse("here")(asked, receive, send)

    def status(path):
        return asyncio.run(call(closing.Guarded(application), scope(path, method="GET"))).status

    paths = ("/v1/docs", "/v1/openapi.json", "/v1/", "/v1/static/x.js")
    assert [status(path) for path in paths] == [200] * 4
    monkeypatch.setenv("PULMOSCOPE_SIGN_IN", "1")
    assert [status(path) for path in paths] == [401] * 4
    assert status("/v1/health") == 200


@pytest.mark.parametrize(
    ("user", "valid"),
    [
        ({"is_logged_in": True, "exp": 1000}, True),
        ({"is_logged_in": True, "exp": 950}, True),  # clocks differ
        ({"is_logged_in": True, "exp": 900}, False),
        ({"is_logged_in": True, "exp": 1}, False),
        ({"is_logged_in": True}, False),
        ({"is_logged_in": True, "exp": "2000"}, False),
        ({"is_logged_in": True, "exp": True}, False),
        ({"is_logged_in": True, "exp": float("nan")}, False),
        ({"is_logged_in": False, "exp": 2000}, False),
        ({}, False),
    ],
)
def test_an_identity_holds_until_it_expires(user, valid):
    """SECURITY.md: "An identity that has expired is refused"."""
    assert sign_in.is_valid(user, 1000) is valid


# -- a slow provider --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c", "e30.e30.x", "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.x", "a" * 20_000],
)
def test_what_is_no_token_asks_nobody(token):
    assert auth._header(token) is None


def test_a_provider_that_fails_is_not_asked_again_at_once(monkeypatch):
    """SECURITY.md: "A provider that fails is not asked again for 30 s"."""
    asked, now = [], [1000.0]

    def fail(url):
        asked.append(url)
        raise auth.httpx.ConnectTimeout("slow")

    monkeypatch.setattr(auth, "_fetch", fail)
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    provider = auth.Provider()
    for _ in range(40):
        with pytest.raises(auth.NoProvider):
            provider.fetch("https://provider.example")
    assert len(asked) == 1
    now[0] += auth.FAILED + 1
    with pytest.raises(auth.NoProvider):
        provider.fetch("https://provider.example")
    assert len(asked) == 2
