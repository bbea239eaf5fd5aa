"""The pages, run without a browser: what they show and what they survive."""

import gc
import json
import re
import threading
from concurrent.futures import Future
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from app.locale.catalogue import texts, translated
from app.sections import answer, data
from app.session import cases, language
from app.session.language import catalogue
from app.views.score import score_bar
from pipeline.data.split import read_split
from pipeline.models import registry
from pipeline.models.triage import TriageLimits
from pipeline.release import measurements
from pipeline.serving import queue
from pipeline.serving.stability import background
from pipeline.text.messages import Message
from tests.drawn import make_database

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page(monkeypatch) -> AppTest:
    monkeypatch.delenv("PULMOSCOPE_DATA", raising=False)
    return AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120).run()


def choose(page: AppTest, example: str) -> AppTest:
    page.session_state["example"] = example
    page.run()
    assert not page.exception, page.exception
    return page


def shown(page: AppTest) -> str:
    elements = [*page.markdown, *page.warning, *page.info, *page.error, *page.subheader]
    return "\n".join(str(e.value) for e in [*elements, *page.caption])


def plain(element) -> str:
    """What Markdown shows of a text whose signs are escaped."""
    return element.value.replace("\\", "")


def viewer(page: AppTest) -> dict:
    """What the viewer was given."""
    given = [json.loads(component.proto.json) for component in page.get("bidi_component")]
    (given,) = [data for data in given if "panes" in data]
    return given


def test_first_sight(page):
    assert not page.exception
    assert page.title[0].value == "Read a radiograph"
    assert "Not for diagnostic use" in page.warning[0].value
    assert "Drop a radiograph above" in page.info[0].value


@pytest.mark.slow
def test_a_synthetic_film_is_read(page):
    text = shown(choose(page, "clear"))
    assert "Synthetic image" in text
    assert re.search(r"COVID score \d\.\d\d, .* threshold of \d\.\d\d\.", text)
    assert len(viewer(page)["panes"]) == 3
    assert "Not for diagnostic use" in text


@pytest.mark.slow
def test_an_inverted_film_gets_no_score_and_can_be_inverted(page):
    text = shown(choose(page, "inverted"))
    assert "The image is inverted" in text
    assert "COVID score" not in text
    (button,) = [b for b in page.button if b.label == "Invert the image"]
    button.click().run()
    assert "COVID score" in shown(page)


def test_sliders_do_not_ask_the_model_again(page, monkeypatch):
    from pipeline.inference.base_predictor import BasePredictor

    choose(page, "clear")

    def refuse(*_):
        raise AssertionError("the model ran again")

    monkeypatch.setattr(BasePredictor, "many", refuse)
    page.slider(key="prevalence").set_value(30.0)
    page.selectbox(key="point").set_value("own")
    page.run()
    assert not page.exception
    assert len(viewer(page)["panes"]) == 3


@pytest.mark.slow
def test_the_answers_stability_is_said_and_taken_away(page):
    choose(page, "clear")
    (case,) = page.session_state["cases"].values()
    known = background().ask(case.answers["light"]).result(120)
    text = shown(page.run())
    assert f"the answer changes in {known.changed(case.answers['light'].threshold)} of 8" in text
    assert background().known(case.answers["light"]) is known


def test_a_withheld_score_has_no_stability(page):
    assert "slightly changed copies" not in shown(choose(page, "inverted"))


@pytest.mark.slow
def test_probability_follows_the_prevalence(page):
    choose(page, "clear")

    def said() -> float:
        return float(re.search(r"about \*\*([\d.]+)%", shown(page))[1])

    rare = said()
    page.slider(key="prevalence").set_value(60.0).run()
    assert said() > 2 * rare


@pytest.mark.slow
def test_two_models_say_what_their_agreement_was_worth(page, monkeypatch):
    choose(page, "clear")
    page.button(key="ask_xception").click().run()
    text = shown(page)
    agree = "The models agree" in text
    assert agree != ("The models disagree" in text)
    assert re.search(r"Both combined \(mean of their log-odds\): \d\.\d\d, COVID from 0\.50", text)
    judged = measurements.measured_together()
    counts = {judged[key]["n"] for key in ("both_positive", "both_negative")}
    n = int(re.search(r"(?:Of|in this way on) (\d+) test images", text)[1])
    assert n in counts if agree else n == judged["apart"]["light"]["n"]
    # Of other weights nothing of the kind is known.
    monkeypatch.setattr("app.sections.answer.measured_together", lambda: None)
    text = shown(page.run())
    assert "Both combined" in text
    assert "test images" not in text.split("Both combined")[1].split("\n")[0]


def test_agreement_is_judged_at_the_chosen_operating_point(page):
    choose(page, "clear")
    page.button(key="ask_xception").click().run()
    case = cases.Case("film", "synthetic", cases.example("clear").radiograph)
    said = page.session_state["cases"][case.radiograph.key].answers
    for point in ("screening", "confirming"):
        page.selectbox(key="point").set_value(point).run()
        points = {name: registry.entry(name).operating_points[point] for name in said}
        calls = {said[name].score >= threshold for name, threshold in points.items()}
        text = shown(page)
        assert ("The models agree" if len(calls) == 1 else "The models disagree") in text
        assert f"(threshold {points['xception']:.2f})" in text
        assert "Both combined" not in text, "that was measured at the app's own thresholds"


def test_an_identity_stays_with_its_film(page):
    choose(page, "clear")
    (typed,) = [box for box in page.text_input if box.label.startswith("Patient label")]
    typed.set_value("Dupont").run()
    choose(page, "opacities")
    (typed,) = [box for box in page.text_input if box.label.startswith("Patient label")]
    assert typed.value == ""


def test_only_models_that_read_films_are_taken_away(page):
    choose(page, "clear")
    (case,) = page.session_state["cases"].values()
    light = case.answers["light"]
    case.answers["cnn2"] = replace(light, model="cnn2")
    assert cases.readings(case) == [light]
    assert "difference" not in viewer(page.run())["heats"]


def test_percentages_in_reasons_are_the_languages(monkeypatch):
    monkeypatch.setattr("app.session.language.current", lambda: "fr")
    for value, written in (("3%", "3\u202f%"), ("3.7%", "3,7\u202f%")):
        reason = Message("lung_area", {"value": value, "low": "4%", "high": "50%"})
        assert f"couvre {written} du" in language.sentence(reason)


def test_a_heatmap_is_praised_only_for_what_was_shown(monkeypatch):
    def judged(low):
        ratio = {"infection_over_chance": {"value": low + 0.1, "low": low}}
        return {"n": 9, "methods": dict.fromkeys(("random", "gradcam"), ratio)}

    for low, said in ((1.1, ", Grad-CAM put more heat"), (0.9, "no heatmap method")):
        monkeypatch.setattr("app.sections.answer.measured", lambda *_, low=low: judged(low))
        assert said in answer.heatmap_verdict("light")
    monkeypatch.setattr("app.sections.answer.measured", lambda *_: None)
    assert answer.heatmap_verdict("light") is None


def test_what_two_models_said_is_forgotten_with_the_weights(tmp_path):
    folder = registry.weights_folder()
    for name in ("registry.json", "together.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    assert measurements.measured_together(tmp_path) is not None
    result = json.loads((tmp_path / "together.json").read_text())
    result["weights_sha256"]["xception"] = "0" * 64
    (tmp_path / "together.json").write_text(json.dumps(result))
    assert measurements.measured_together(tmp_path) is None


def test_the_film_survives_a_page_change(page):
    choose(page, "clear")
    page.switch_page("../pages/about.py").run()
    assert page.title[0].value == "About the models"
    page.switch_page("../pages/diagnose.py").run()
    assert "COVID score" in shown(page)


def at(**query: str) -> AppTest:
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120)
    page.query_params.update(query)
    return page.run()


def test_the_address_keeps_language_model_and_example(monkeypatch):
    monkeypatch.delenv("PULMOSCOPE_DATA", raising=False)
    assert at(language="fr").title[0].value == "Lire une radiographie"
    page = at(example="clear", model="nonsense")
    assert re.search(r"COVID score \d", shown(page))
    page.run()
    assert page.query_params == {"language": "en", "model": "light", "example": "clear"}


def test_a_bad_file_leaves_no_old_answer_below_its_error(page):
    choose(page, "clear")
    page.file_uploader(key="uploads").set_value([("bad.png", b"no picture", "image/png")]).run()
    assert not page.exception, page.exception
    assert "bad.png" in plain(page.error[0])
    assert not re.search(r"COVID score \d", shown(page))
    (key,) = page.session_state["cases"]
    page.selectbox(key="film").set_value(key).run()
    assert re.search(r"COVID score \d", shown(page))


def test_a_film_folds_what_opens_another(page):
    assert page.radio(key="model").label
    assert not page.get("popover")
    choose(page, "clear")
    assert len(page.get("popover")) == 1
    assert "computed in" in shown(page)


def test_the_bar_names_zones_only_where_there_is_room():
    limits = TriageLimits(0.1, 0.9, 0.1, 0.95, 100)
    bar = score_bar(0.5, 0.6, "said", "0.60", ("0: low", "1: high"), limits, ("no", "?", "yes"))
    assert ">?</div>" in bar and ">no</div>" not in bar
    assert 'title="yes"' in bar and "0: low" in bar
    assert "title=" not in score_bar(0.5, 0.6, "said", "0.60", ("0", "1"))


def test_class_shares_are_shown_of_the_model_that_separates_classes(page):
    choose(page, "clear")
    (case,) = page.session_state["cases"].values()
    assert case.answers["light"].class_shares is None
    page.radio(key="model").set_value("xception").run()
    shares = case.answers["xception"].class_shares
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert "Viral pneumonia" in "".join(html.proto.body for html in page.get("html"))


def test_a_withheld_score_shows_no_heatmap(page):
    choose(page, "inverted")
    assert [pane.get("heat") for pane in viewer(page)["panes"]] == [None, None]
    assert not viewer(page)["heats"]


def test_the_viewer_is_given_every_method(page):
    choose(page, "opacities")
    given = viewer(page)
    assert given["choose"] == list(registry.entry("light").cam_scale)
    assert given["films"]["film"].startswith("data:image/png;base64,")
    assert len(given["outlines"]["lungs"]) >= 2
    assert all(0 <= v <= 1 for points in given["outlines"]["lungs"] for v in points)


def test_french(page):
    page.session_state["language"] = "fr"
    page.run()
    assert page.title[0].value == "Lire une radiographie"
    text = shown(choose(page, "clear"))
    assert re.search(r"Score COVID \d,\d\d", text)
    assert "Ne pas utiliser à des fins diagnostiques" in text


def test_only_models_with_weights_are_offered(page):
    assert page.radio(key="model").options
    assert len(page.radio(key="model").options) == len(registry.classifiers())


def test_every_text_is_translated_and_none_is_left_over():
    assert texts() - translated() == set()
    assert translated() - texts() == set()


def test_translations_keep_their_placeholders():
    for english, french in catalogue("fr").items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", french))


def test_scores_of_other_weights_are_not_shown(tmp_path):
    folder = registry.weights_folder()
    for file in folder.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    assert measurements.scores_on_test_films("light", tmp_path) is not None
    changed = (tmp_path / "registry.json").read_text()
    sha256 = registry.entry("light", tmp_path).sha256
    (tmp_path / "registry.json").write_text(changed.replace(sha256, "0" * 64))
    assert measurements.scores_on_test_films("light", tmp_path) is None


def test_shipped_weights_are_what_the_registry_says(capsys):
    assert registry.main() == 0
    models = registry.read_registry()["models"]
    size = {n: (registry.weights_folder() / m["file"]).stat().st_size for n, m in models.items()}
    assert size["unet"] + size["light"] <= 7e6
    assert size["unet"] + size.get("xception", 0) <= 67e6
    assert models["unet"]["parameters"] == 599_073
    assert models["light"]["parameters"] == 79_410


def test_damaged_weights_are_refused(tmp_path):
    folder = registry.weights_folder()
    (tmp_path / "registry.json").write_text((folder / "registry.json").read_text())
    (tmp_path / "light.weights.h5").write_bytes(b"not weights")
    with pytest.raises(registry.WeightsError, match="its sha256 differs"):
        registry.entry("light", tmp_path).checked_file()
    with pytest.raises(registry.WeightsError, match="is missing"):
        registry.entry("unet", tmp_path).checked_file()


@pytest.mark.slow
def test_damaged_weights_are_named_on_the_page_and_restoring_them_is_enough(
    page, monkeypatch, tmp_path
):
    folder = registry.weights_folder()
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "light.weights.h5").write_bytes(b"not weights")
    (tmp_path / "light.onnx").unlink(missing_ok=True)
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(tmp_path))
    fresh = queue.Service(queue.Models(queue._load), queue.InferenceQueue())
    monkeypatch.setattr(cases, "service", lambda: fresh)
    choose(page, "clear")
    (error,) = page.error
    assert "light.weights.h5 is not the one that registry.json describes" in plain(error)
    assert "COVID score" not in shown(page)
    (tmp_path / "light.weights.h5").write_bytes((folder / "light.weights.h5").read_bytes())
    (again,) = [b for b in page.button if b.label == "Try again"]
    again.click().run()
    assert not page.error
    assert "COVID score" in shown(page)
    fresh.queue.stop()


def test_a_page_that_is_drawn_does_not_reset_keras(page):
    import keras

    choose(page, "clear")
    queue.on_keras(queue.service().models.prepare("light").result())
    first = keras.layers.Dense(1).name
    page.run()
    assert keras.layers.Dense(1).name != first  # Keras goes on counting
    assert gc.get_freeze_count() > 100_000


@pytest.mark.slow
def test_a_full_queue_is_said_and_the_film_can_be_tried_again(page, monkeypatch):
    full = queue.Service(queue.Models(queue._load), queue.InferenceQueue(capacity=0))
    with monkeypatch.context() as patched:
        patched.setattr(cases, "service", lambda: full)
        choose(page, "rotated")
        assert "Too many images are waiting" in page.error[0].value
    full.models.wait(60)
    (again,) = [b for b in page.button if b.label == "Try again"]
    again.click().run()
    assert not page.error
    assert re.search(r"COVID score|No score", shown(page))


def test_a_film_that_was_dropped_from_the_queue_is_asked_anew(monkeypatch):
    """Whoever turns to another film and comes back late finds an answer, not an error."""
    waiting, model = queue.InferenceQueue(), Future()
    owners = SimpleNamespace(
        submit=lambda owner, film, _name, _party=None: waiting.submit(owner, film, model)
    )
    monkeypatch.setattr(cases, "service", lambda: owners)
    case = cases.example("clear")
    dropped = case.tickets["light"] = waiting.submit("page", case.radiograph, model)
    dropped.cancel()
    threading.Timer(0.3, model.set_exception, [queue.NoAnswer("film_failed")]).start()
    with pytest.raises(queue.NoAnswer) as caught:
        cases.diagnosis_of(case, "light")
    assert caught.value.message.code == "film_failed"
    assert case.tickets == {}
    waiting.stop()


def test_the_about_page_names_weights_and_versions(page):
    choose(page, "clear")
    page.switch_page("../pages/about.py").run()
    hashes = page.code[0].value
    for name in registry.read_registry()["models"]:
        assert registry.entry(name).sha256 in hashes
    packages = str([table.value.to_dict() for table in page.table])
    assert re.search(r"Computed with: (ONNX Runtime|Keras) \d", shown(page))
    assert "tensorflow" in packages and metadata.version("tensorflow") in packages


def test_the_data_page_says_that_class_and_source_are_confounded(page):
    page.switch_page("../pages/data.py").run()
    assert not page.exception, page.exception
    assert "both with and without COVID: **none**" in page.warning[1].value
    assert "**21,165** images" in shown(page)
    counts = data._class_counts(data.statistics())
    labels, often = data._draw_batch(counts, "covid", 24)
    assert labels.count("COVID") == 12 and labels.count("Normal") == 4
    assert often["Viral Pneumonia"] > often["Normal"]


def test_the_data_page_without_statistics(page, monkeypatch):
    monkeypatch.setattr(data, "database_statistics", lambda: None)
    page.switch_page("../pages/data.py").run()
    assert "python -m pipeline explore" in page.info[0].value


@pytest.mark.slow
def test_the_data_page_shows_films_where_they_are(page, monkeypatch, tmp_path, films):
    monkeypatch.setenv("PULMOSCOPE_DATA", str(tmp_path))
    page.switch_page("../pages/data.py").run()  # an empty folder
    assert not page.exception
    root = make_database(tmp_path / "data", films, per_class=2)
    sets = {"COVID": {"examples": [{"name": "COVID-0", "brightness": 1.0}]}}
    pictures = data._example_pictures(str(root), json.dumps(sets))
    ((name, _, picture),) = pictures["COVID"]
    assert name == "COVID-0" and picture.shape == (256, 512, 3)


@pytest.mark.slow
def test_what_is_painted_beside_the_lungs_hardly_moves_a_masked_model(page):
    page.switch_page("../pages/bias.py").run()
    assert not page.exception, page.exception
    masked = page.metric[-len(registry.classifiers()) :]  # CNN-2, where it is there, comes first
    assert masked and all(abs(float(metric.delta)) < 0.2 for metric in masked)
    page.slider(key="ink_row").set_value(50).run()
    assert not page.exception, page.exception
    assert "Remaining confounders" in shown(page)


def test_the_data_page_describes_the_split_that_was_trained_on():
    folder = registry.weights_folder()
    described = json.loads((folder / "database.json").read_text())
    rows = [row for row in read_split().values() if row.source != "siim"]
    assert described["split"]["test"] == sum(row.part == "test" for row in rows)


def test_a_file_name_is_no_markdown_when_films_are_compared(page):
    def compare(diagnosis):
        from app.sections.compare import show_scores

        show_scores(["![x](https://elsewhere.example/p.png)"], [diagnosis])

    choose(page, "clear")
    (case,) = page.session_state["cases"].values()
    alone = AppTest.from_function(compare, kwargs={"diagnosis": case.answers["light"]}).run()
    (heading,) = [m.value for m in alone.markdown if "elsewhere" in m.value]
    assert "](" not in heading


def test_readme_and_model_card_show_the_measured_scores():
    from pipeline.release.model_card import README, score_table, short_table

    assert len(short_table().splitlines()) > 4
    assert short_table() in README.read_text()
    table = score_table()
    assert len(table.splitlines()) > 10
    assert table in (registry.weights_folder() / "README.md").read_text()


def test_comparing_models_opens_what_is_being_read(page):
    choose(page, "clear")
    choose(page, "opacities")
    for example in ("opacities", "clear"):
        page.session_state["case"] = cases.example(example).radiograph.key
        page.switch_page("../pages/compare.py").run()
        assert not page.exception, page.exception
        chosen = page.selectbox(key="compared_film")
        assert chosen.value == page.session_state["case"]
        page.switch_page("../pages/diagnose.py").run()


def test_comparing_needs_two_films_and_shows_them_on_one_scale(page):
    page.session_state["question"] = "films"
    page.switch_page("../pages/compare.py").run()
    assert not page.exception, page.exception
    assert "Open two images first" in page.info[0].value
    page.switch_page("../pages/diagnose.py").run()
    choose(page, "clear")
    choose(page, "opacities")
    page.switch_page("../pages/compare.py").run()
    assert not page.exception, page.exception
    given = viewer(page)
    assert len(given["films"]) == len(given["panes"]) == 2
    assert len({heat["high"] for name, heat in given["heats"].items() if "hirescam" in name}) == 1
    assert "the score changes by" in shown(page)
