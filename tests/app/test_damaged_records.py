"""Registry and measurements that are damaged, reshaped or missing, on every page and route."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.http import api as interface
from app.sections import bias
from app.session import cases
from pipeline.models import registry
from pipeline.models.records import Frozen
from pipeline.models.registry import WeightsError
from pipeline.release import measurements
from pipeline.serving.queue import InferenceQueue, Models, Service
from tests.conftest import ROOT

# The PACS's page is there only where one is set.
PAGES = sorted({path.stem for path in (ROOT / "pages").glob("*.py")} - {"pacs"})
SOME = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
METHOD = {
    **dict.fromkeys(("infection_over_chance", "pointing_game", "energy_in_lungs"), SOME),
    **dict.fromkeys(("deletion", "insertion", "randomised_weights"), SOME),
    "deletion_curve": [0.9, 0.1],
    "insertion_curve": [0.1, 0.9],
}


def all_kinds() -> dict[str, dict]:
    """The records that are shipped, and of every kind that is not, a small one."""
    folder = registry.ROOT / "weights"
    found = {file.name: json.loads(file.read_text()) for file in folder.glob("*.json")}
    models = found["registry.json"]["models"]
    unet, light = models["unet"]["sha256"], models["light"]["sha256"]
    measured = {"part": "test", "unet_sha256": unet, "weights_sha256": light, "n": 9}
    heatmaps = {
        **dict.fromkeys(("infected_share_of_lungs", "gradient_reaches"), SOME),
        "better_than_random": SOME,
        "n_curves": 5,
        "cells": 49,
        "methods": dict.fromkeys(("gradcam", "hirescam", "random"), METHOD),
    }
    sources = {
        "settings": {"size": 128, "epochs": 2, "images_per_epoch": 100},
        "sources": {"rsna": {"test_images": 9, "judged": 9, "unseen": SOME, "control": SOME}},
    }
    lungs = {"variants": found["cnn2.lungs.json"]["variants"]}
    return {
        "light.heatmaps.json": measured | heatmaps,
        "light.sources.json": measured | sources,
        "light.lungs.json": measured | lungs,
    } | found


RECORDS = all_kinds()
READ = sorted({*RECORDS} - {"detector.json"})  # which only the model card's writer reads


@pytest.fixture
def folder(tmp_path, monkeypatch, predictor) -> Path:
    """Weights whose records may be damaged, and a service that has loaded the light model."""
    for file in (registry.ROOT / "weights").iterdir():
        if file.suffix != ".json":
            (tmp_path / file.name).symlink_to(file)
    for name, record in RECORDS.items():
        (tmp_path / name).write_text(json.dumps(record))
    made = Service(Models(lambda _name: predictor), InferenceQueue())
    monkeypatch.setattr(cases, "service", lambda: made)
    monkeypatch.setattr(interface, "service", lambda: made)
    monkeypatch.setattr(bias, "MODELS", ("light",))
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("PULMOSCOPE_PRELOAD", "light")
    yield tmp_path
    made.queue.stop()


def opened(name: str) -> AppTest:
    """A page with a synthetic image."""
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120)
    page.session_state["example"] = "clear"
    page.run()
    return page.switch_page(str(ROOT / f"pages/{name}.py")) if name != "diagnose" else page


def drawn(page: AppTest) -> str:
    """Draw the page anew; what it says in boxes."""
    page.run()
    assert not page.exception
    said = "\n".join(str(box.value) for box in [*page.error, *page.info]).replace("\\", "")
    assert "failed for an unexpected reason" not in said
    return said


def asked(clear_png: bytes) -> tuple[dict, dict]:
    """What the health and the diagnosis of the HTTP interface say."""
    client = TestClient(interface.api)  # which raises what a route does not catch
    health = client.get("/health")
    assert health.status_code == (200 if health.json()["ready"] else 503)
    return health.json(), client.post("/diagnose", content=clear_png).json()


def turned_to_text(value):
    """The same record with every number as text: valid JSON, and no longer what it was."""
    if isinstance(value, dict):
        return {key: turned_to_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [turned_to_text(item) for item in value]
    return str(value) if isinstance(value, int | float) else value


DAMAGE = {
    "truncated": lambda text: text[: len(text) // 2],
    "numbers as text": lambda text: json.dumps(turned_to_text(json.loads(text))),
    "a list": lambda text: f"[{text}]",
    "emptied": lambda _text: "{}",
    "missing": lambda _text: None,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", READ)
def test_every_route_says_what_to_do(file, damage, folder, clear_png):
    """SECURITY.md: "A record beside the weights that is damaged or reshaped is named, with what to
    do, on the pages that need it; until then the server says that it is not ready"."""
    harm(folder / file, damage)
    health, diagnosis = asked(clear_png)
    missing, listed = damage == "missing", file == "registry.json"
    assert set(health["files"]) == (set() if missing and not listed else {file})
    if not missing or listed:
        assert not health["ready"]
        assert file in health["files"][file]
        assert "administrator can restore it" in health["files"][file]
    if listed:
        assert diagnosis["reasons"] == ["weights_registry"]
    else:
        assert diagnosis["status"] == "ok"


def harm(path: Path, damage: str) -> None:
    text = DAMAGE[damage](path.read_text())
    path.unlink()
    if text is not None:
        path.write_text(text)


SHOWN = {
    "registry.json": {*PAGES} - {"data"},
    "database.json": {"data"},
    "gate.json": {"performance"},
    "together.json": {"performance"},
    "light.test.json": {"about", "diagnose", "performance"},
    "light.changes.json": {"performance"},
    "light.heatmaps.json": {"diagnose", "performance"},
    "light.lungs.json": {"bias", "performance"},
    "light.sources.json": {"performance"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_no_page_falls_and_those_that_need_a_record_name_it(name, folder):
    page = opened(name)
    assert "damaged" not in drawn(page)
    for number, (file, pages) in enumerate(SHOWN.items()):
        text = (folder / file).read_text()
        harm(folder / file, ("truncated", "numbers as text", "emptied")[number % 3])
        said = drawn(page)
        if name in pages:
            assert file in said
            assert "administrator can restore it" in said
        else:
            assert "damaged" not in said, file
        (folder / file).write_text(text)
    assert "damaged" not in drawn(page)  # restoring them is enough
    for file in {*SHOWN} - {"registry.json"}:
        (folder / file).unlink()
    assert "damaged" not in drawn(page)
    (folder / "registry.json").unlink()
    assert ("registry.json, is missing" in drawn(page)) == (name in SHOWN["registry.json"])


def schema_of(file: str):
    if file == "registry.json":
        return registry._Registry
    special = {
        "database.json": measurements.schemas.Database,
        "gate.json": measurements.schemas.Gate,
        "together.json": measurements.schemas.Together,
    }
    return special.get(file) or measurements.KINDS[file.split(".")[1]]


@pytest.mark.slow
def test_pages_need_no_more_than_the_schemas_ask_for(folder):
    """Whatever else a record holds may change without a page falling."""
    for file in READ:
        record = schema_of(file).model_validate_json((folder / file).read_text())
        kept = json.loads(record.model_dump_json())
        for key in ("limits", "shape", "ordinary"):
            if file == "registry.json":  # whose hash the gate's measurements name
                assert kept["gate"][key] == RECORDS[file]["gate"][key]
        (folder / file).write_text(json.dumps(kept | {"of a later version": [{}]}))
    assert measurements.damaged() == {}
    assert measurements.measured_gate() is not None
    for name in PAGES:
        said = drawn(opened(name))
        assert "damaged" not in said
        assert "Not measured for these weights" not in said


def paths(record, path: tuple = ()) -> Iterator[tuple]:
    """Every key of a record; of a list, and of a dictionary of things of one kind, the first."""
    items = list(record.items() if isinstance(record, dict) else enumerate(record))
    kinds = [item.keys() for _key, item in items if isinstance(item, dict)]
    if isinstance(record, list) or (len(kinds) == len(items) and kinds.count(kinds[0]) > 2):
        items = items[:1]
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


def at(record, path: tuple):
    for key in path:
        record = record[key]
    return record


@pytest.mark.parametrize("file", READ)
def test_what_a_schema_names_has_its_type(file):
    """Each value in turn as one of another type."""
    text = json.dumps(RECORDS[file])
    kept = schema_of(file).model_validate_json(text).model_dump(mode="json")
    tried = list(paths(kept))
    for path in tried:
        value, around = at(kept, path), at(kept, path[:-1])
        if value is not None and "validation" not in path[:-1]:  # whose values are shown nowhere
            around[path[-1]] = [] if isinstance(value, str | dict) else {"no": "number"}
            with pytest.raises(ValueError, match="validation error"):
                schema_of(file).model_validate_json(json.dumps(kept))
            around[path[-1]] = value
    assert len(tried) > 10


def test_records_are_shared_and_altered_by_nobody(folder):
    scores = measurements.measured("light", "test")
    assert measurements.measured("light", "test") is scores  # read once
    for alter in (
        lambda: scores.update(n=0),
        lambda: scores["auc"].pop("n"),
        lambda: scores["curves"]["roc"]["fpr"].append(0.0),
        lambda: scores.__ior__({"n": 0}),
        lambda: registry.read_registry()["gate"].__setitem__("limits", {}),
    ):
        with pytest.raises((TypeError, AttributeError)):
            alter()
    registry.entry("light").operating_points["balanced"] = 2.0
    assert registry.entry("light").operating_points["balanced"] < 1
    own = copy.deepcopy(scores)
    own["auc"]["n"] = 0
    assert type(own) is dict
    assert isinstance(scores, Frozen)
    assert scores["auc"]["n"] > 0
    assert json.loads(json.dumps(scores)) == RECORDS["light.test.json"]


def test_a_record_that_is_restored_is_read_again(folder):
    text = (folder / "gate.json").read_text()
    (folder / "gate.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"gate\.json.*damaged"):
        measurements.measured_gate()
    (folder / "gate.json").write_text(text)
    assert measurements.measured_gate() is not None


@pytest.mark.parametrize("text", ["image;part\na;test\n", "\x00\xff", "part\ntest\n"])
def test_a_damaged_split_is_named(folder, text):
    (folder / registry.SPLIT).unlink()
    (folder / registry.SPLIT).write_text(text, encoding="latin-1")
    with pytest.raises(WeightsError, match=r"split\.csv"):
        registry.unseen_films()
    assert registry.SPLIT in measurements.damaged()


@pytest.mark.parametrize(
    "change", [{"limits": {}}, {"shape": ["09"]}, {"limits": {"area": [0, 1]}}]
)
def test_a_gate_without_its_measures_is_no_gate(folder, change):
    from pipeline.quality.detector import read_gate

    record = copy.deepcopy(RECORDS["registry.json"])
    record["gate"] |= change
    (folder / "registry.json").write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="missing or damaged"):
        read_gate()
