"""A browser that comes from a session that is gone is told so."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from app.session import lost


def script() -> None:
    from app.session.lost import say_if_lost

    say_if_lost()


@pytest.fixture
def brought(monkeypatch) -> dict:
    """Widget states that the browser sends with a run."""
    states: dict = {}
    state = SimpleNamespace(_new_widget_state=SimpleNamespace(states=states))
    context = SimpleNamespace(session_state=SimpleNamespace(_state=state))
    monkeypatch.setattr(lost, "get_script_run_ctx", lambda: context)
    return states


def test_a_new_page_is_told_nothing(brought):
    page = AppTest.from_function(script).run()
    brought["language"] = "from now on"
    assert not page.error and not page.run().error


def test_widgets_of_a_session_that_is_gone_are_told_until_the_page_is_loaded_again(brought):
    brought["language"] = "as it stood"
    page = AppTest.from_function(script).run()
    assert "no longer has this session" in page.error[0].value
    brought.clear()
    assert page.run().error
    assert not AppTest.from_function(script).run().error


def test_a_real_first_run_brings_no_widgets():
    page = AppTest.from_function(script).run()
    assert not page.exception and not page.error
