"""Every shipped model has one recipe, and a recipe with a mistake is refused."""

import ast
import json

import pytest

from pipeline.data.split import CLASS_OF, read_split
from pipeline.models.spec import ARCHITECTURES
from pipeline.training.recipe import RECIPES, Recipe, as_record, load_recipe

SHIPPED = sorted(path.stem for path in RECIPES.glob("[a-z]*.py"))


def test_there_is_one_recipe_a_model_and_one_for_the_teachers():
    assert sorted(["unet", "teacher", *ARCHITECTURES]) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load_and_can_be_fulfilled(name):
    recipe = load_recipe(RECIPES / f"{name}.py")
    assert recipe.model == ("xception" if name == "teacher" else name)
    assert f"pipeline train {recipe.model} " in ast.get_docstring(
        ast.parse((RECIPES / f"{name}.py").read_text())
    )
    assert json.loads(json.dumps(as_record(recipe)))["model"] == recipe.model
    assert 0 <= recipe.averaging < 1 and recipe.sizes == sorted(recipe.sizes)
    if name == "unet":
        assert recipe.batch > 0 and not recipe.shares
    else:
        known = {row.stratum for row in read_split().values() if row.part == "train"}
        assert set(recipe.shares) <= known
        assert recipe.teachers or set(recipe.shares) <= set(CLASS_OF)
        assert recipe.sizes[-1] == ARCHITECTURES[recipe.model].input_size


@pytest.mark.parametrize("name", [n for n in SHIPPED if n not in ("unet", "cnn1")])
def test_half_of_what_is_labelled_is_covid(name):
    recipe = load_recipe(RECIPES / f"{name}.py")
    labelled = {s: n for s, n in recipe.shares.items() if s in CLASS_OF}
    covid = sum(n for s, n in labelled.items() if CLASS_OF[s] == "COVID")
    assert covid / sum(labelled.values()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", ["light", "teacher", "xception"])
@pytest.mark.parametrize("siim", [True, False])
def test_neither_database_tells_the_class_in_a_batch(name, siim):
    shares = load_recipe(RECIPES / f"{name}.py").shares
    labelled = {s: n for s, n in shares.items() if s in CLASS_OF and not s.startswith("shenzhen")}
    own = {s: n for s, n in labelled.items() if s.startswith("siim ") == siim}
    covid = sum(n for s, n in own.items() if CLASS_OF[s] == "COVID")
    assert covid / sum(own.values()) == pytest.approx(0.5, abs=0.04)


def test_sizes_of_every_epoch():
    assert Recipe("unet", ((64, 2), (128, 1)), 1, 1e-3).sizes == [64, 64, 128]


def test_an_unknown_key_is_an_error(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from pipeline.training.recipe import Recipe\n"
        "RECIPE = Recipe('unet', ((64, 1),), steps=1, learning_rate=1e-3, speed=2)\n"
    )
    with pytest.raises(TypeError, match="speed"):
        load_recipe(file)


@pytest.mark.parametrize(
    "name, text, message",
    [("mine.py", "RECIPE = 3", "defines no RECIPE"), ("mine.txt", "", "must be a .py file")],
)
def test_what_is_no_recipe_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        load_recipe(tmp_path / name)
