"""Signing in, against a real OpenID provider on this machine."""

import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from tests.browsing import free_port, go_to, running_app, settled, wait_for, window
from tests.conftest import ROOT

pytestmark = pytest.mark.browser
PAGES = ("", "worklist", "compare", "data", "preprocessing", "bias", "performance", "about")
CLIENT = {"client_id": "pulmoscope", "client_secret": "for-this-test-alone"}


@contextmanager
def provider():
    """A provider in a process of its own; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://localhost:{port}/.well-known/openid-configuration")
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The app that asks for a sign-in: its address, and its provider's."""
    port = free_port()
    with provider() as issuer:
        secrets = tmp_path_factory.mktemp("secrets") / "secrets.toml"
        values = CLIENT | {
            "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
            "cookie_secret": "also for this test alone, and long enough",
            "server_metadata_url": f"{issuer}/.well-known/openid-configuration",
        }
        lines = [f'{key} = "{value}"' for key, value in values.items()]
        secrets.write_text("[auth]\n" + "\n".join(lines))
        log = ROOT / ".pytest_cache" / "guarded.log"
        options = (f"--secrets.files={secrets}",)
        with running_app(log, port, options, PULMOSCOPE_SIGN_IN="1") as address:
            yield address, issuer


def test_no_page_shows_anything_before_the_sign_in(browser, guarded):
    with window(browser, guarded[0]) as page:
        for name in PAGES:
            page.goto(f"{guarded[0]}/{name}")
            expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            expect(page.get_by_text("Not for diagnostic use.")).to_be_visible()
            expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
            assert page.locator("h1").count() == 0, name
            assert page.get_by_test_id("stFileUploader").count() == 0, name


def test_signing_in_opens_the_pages_and_signing_out_closes_them(browser, guarded):
    with window(browser, guarded[0]) as page:
        page.get_by_role("button", name="Sign in").click()
        page.get_by_placeholder("sub").fill("reader@hospital.example")
        page.get_by_role("button", name="Authorize").click()
        expect(page.get_by_test_id("stFileUploader")).to_be_visible()
        settled(page)
        go_to(page, "Work list")
        expect(page.get_by_test_id("stFileUploader")).to_be_visible()
        with page.expect_navigation():
            page.get_by_role("button", name="Sign out").click()
        page.goto(guarded[0])
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    log = (ROOT / ".pytest_cache" / "guarded.log").read_text()
    assert "reader@hospital.example" not in log


def id_token(issuer: str, redirect: str) -> str:
    """What the provider gives a program whose user has agreed."""
    asked = {"client_id": CLIENT["client_id"], "redirect_uri": redirect, "state": "x"}
    asked |= {"response_type": "code", "scope": "openid"}
    agreed = httpx.post(f"{issuer}/oauth2/authorize", params=asked, data={"sub": "program"})
    code = parse_qs(urlsplit(agreed.headers["Location"]).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    secret = (CLIENT["client_id"], CLIENT["client_secret"])
    return httpx.post(f"{issuer}/oauth2/token", data=grant, auth=secret).json()["id_token"]


def test_the_http_interface_takes_the_providers_token_alone(guarded, clear_png):
    address, issuer = guarded
    url = f"{address}/v1/diagnose"
    refused = httpx.post(url, content=clear_png)
    assert refused.status_code == 401
    assert refused.json()["reasons"] == ["token_needed"]
    bearer = {"Authorization": f"Bearer {id_token(issuer, f'{address}/oauth2callback')}"}
    answer = httpx.post(url, content=clear_png, headers=bearer, timeout=180)
    assert answer.json()["status"] == "ok"
