"""The performance page's tabs, each with the one figure that it is about."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.sections import headlines
from pipeline.models import registry
from pipeline.release.measurements import scores_on_test_films

ROOT = Path(__file__).resolve().parents[2]


def test_every_figure_stands_in_a_tab_of_its_name():
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120).run()
    page.switch_page("../pages/performance.py").run()
    assert not page.exception, page.exception
    assert [tab.label for tab in page.tabs] == headlines.tab_names()
    (auc, *_rates) = page.tabs[0].metric
    model = page.segmented_control(key="measured_model").value
    assert auc.value.startswith(f"{scores_on_test_films(model)['auc']['value']:.3f}")
    history = registry.entry(model).training["history"]
    assert page.tabs[-1].metric[0].value == str(len(history))


@pytest.mark.parametrize("infection", [None, {"value": 1.5, "low": 1.2, "high": 1.8, "n": 9}])
def test_what_was_not_measured_is_not_claimed(monkeypatch, infection):
    said = []
    judged = {"methods": {registry.entry("light").cam: {"infection_over_chance": infection}}}
    monkeypatch.setattr(headlines, "_headline", lambda _label, value: said.append(value))
    monkeypatch.setattr(headlines, "measured", lambda *_: judged)
    headlines.show_where_it_looks("light", {"segmentation": {"dice": {"value": 0.96}}})
    assert said == ["1.50" if infection else "0.960"]
    monkeypatch.setattr(headlines, "measured", lambda *_: None)
    headlines.show_stable("light")
    assert len(said) == 1
