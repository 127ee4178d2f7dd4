"""Recipes: all of them are what they should be, and a typo in one is a sentence."""

import functools
import json
import re
import sys

import keras
import pytest

from keras_recres import models, zoo
from tests.training.fit.test_fit import metrics, peek, run
from training import recipes
from training.errors import UserError
from training.fit import loop as fit
from training.fit import models as training_models
from training.fit import optimizers, precision, steps
from training.jobs import pending_rows
from training.ledger import filing
from training.settings import DEFAULTS

pytestmark = pytest.mark.neutral

MEASURED = re.compile(r"^ {4}(\w+) +(\d+\.\d+)(?: ± (\d+\.\d+))? %", re.MULTILINE)


@pytest.mark.parametrize("name", recipes.available())
def test_every_recipe_is_whole(name):
    recipe = recipes.load(name)
    assert name in recipes.ORDER
    known = {record.name for record in zoo.list()}
    for network in recipe.names:
        a = fit.arguments([network], name)
        fit.check(a)
        assert a.dataset == recipe.dataset
        watching = {key: getattr(a, key) for key in ("stream", "curvature")}
        settings = watching | fit.settings_of(a, network, recipe.tag)
        for option, value in recipe.settings.items():
            key = option.replace("-", "_")
            if value == "auto":
                value, _ = precision.fastest()
            if option == "model-arguments":
                arguments = training_models.overrides_of(None, value)
                value = json.loads(json.dumps(arguments))
            assert settings.get(key, DEFAULTS.get(key)) == value, option
        if network in known and recipe.pending:
            assert recipe.tag in zoo.info(network).tags
    said = sys.modules[f"training.recipes.{name}"].__doc__
    for part in ("Paper: ", f"--recipe {name}", "Hardware"):
        assert part in said


@functools.cache
def rows_of_all():
    return pending_rows.rows(["*"])


@pytest.mark.parametrize("name", recipes.available())
def test_docstrings_tell_what_results_csv_has(name):
    recipe, said = recipes.load(name), sys.modules[f"training.recipes.{name}"].__doc__
    told = {m[1]: (m[2], m[3] or "") for m in MEASURED.finditer(said)}
    assert told or "not measured yet" in said
    if {"deepen", "fold"} & recipe.settings.keys():
        return  # What becomes of a network has no row of its own.
    rows = {
        row["name"]: (row["value"], row["std"])
        for row in filing.read_results()
        if row["tag"] == row["dataset"] == recipe.tag and row["metric"] == "top1_percent"
    }
    # A row of an earlier recipe tells nothing of this one.
    known = [row for row in rows_of_all() if row.recipe == recipe]
    outdated = {row.name for row in known if row.outdated}
    measured = {n: rows[n] for n in recipe.names if n in rows and n not in outdated}
    assert told == measured, f"renew the docstring of training/recipes/{name}.py"


def test_every_classifier_of_images_has_a_recipe():
    """Of the classic networks those that one processor trains; the others are there to be read."""
    trained = {network for recipe in recipes.in_order() for network in recipe.names}
    images = {
        record.name
        for record in zoo.list()
        if record.preprocessing is not None
        and ".convnets." not in getattr(models, record.builder).__module__
    }
    assert images <= trained


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_imagenet80_vit", "cifar10_vit"])
def test_the_networks_of_table_2_are_trained_alike_and_ours_costs_no_more(name):
    recipe, ours = recipes.load(name), recipes.load(f"{name}_plus")
    assert set(recipe.names) == {"vit3", "vit3_rec", "vit7", "vit7_rec"}
    assert min(recipe.seeds, ours.seeds) >= 2
    assert ours.names == ("vit7_rec_plus",)
    assert {k for k in ours.settings if ours.settings[k] != recipe.settings.get(k)} == {
        "epochs",
        "steps",
    }
    drawn, epochs = steps.parse(ours.settings["steps"]), ours.settings["epochs"]
    ran = [drawn.draw(0, epoch, 0, epochs) for epoch in range(epochs)]
    once, twice = (
        models.multiply_adds(zoo.build(network, tag=recipe.tag)).total
        for network in ("vit7", "vit7_rec")
    )
    spent = ran.count(1) * once + ran.count(2) * twice
    assert set(ran) == {1, 2}
    assert 0.98 < spent / (recipe.settings["epochs"] * twice) <= 1


def test_the_command_line_wins_over_the_recipe():
    given = ["cifar_small", "--recipe=cifar_tables", "--epochs=3", "--no-keep-last"]
    a = fit.arguments([*given, "--learning-rate", "0.5"])
    assert (a.epochs, a.keep_last, a.learning_rate) == (3, False, 0.5)
    assert (a.schedule, a.epsilon, a.dataset) == ("constant", 1e-8, "cifar10")
    # The one of the command line, where a program has one of its own.
    a = fit.arguments(["vit3", "--recipe", "cifar10_vit"], recipe="cifar_tables")
    assert (a.recipe, a.warmup_epochs) == ("cifar10_vit", 0.5)


def test_adam_is_not_told_in_the_settings_of_old_trainings():
    settings = fit.settings_of(fit.arguments(["vit3"], "cifar10_vit"), "vit3", "cifar10_jpeg")
    assert not {"optimizer", "recipe", "end_with_parent"} & settings.keys()
    a = fit.arguments(["x"], "mnist_resnet50")
    assert fit.settings_of(a, "x", "mnist")["optimizer"] == "sgd"


def test_sgd_is_plain():
    model, _ = training_models.build("vit3", peek("mnist", (28, 28, 1), 10), {"depth": 1})
    optimizer = optimizers.make(model, "sgd", 0.01)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.weight_decay) == (0, None)
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    optimizer = optimizers.make(model, "sgd", 0.01, weight_decay=0.1)
    for v in model.trainable_variables:
        assert optimizer._use_weight_decay(v) == (v.name == "kernel"), v.path


RECIPE = """
NAMES = ("vit3",)
DATASET = "corners"
SEEDS = 1
SETTINGS = {"epochs": 1, "optimizer": "sgd", "batch-size": 16, "learning-rate": 0.1, "limit": 64}
"""


@pytest.fixture
def write_recipe(tmp_path, monkeypatch):
    """Writes a recipe called toy."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.setattr(recipes, "__path__", [str(folder)])

    def write(text):
        (folder / "toy.py").write_text(text)
        sys.modules.pop("training.recipes.toy", None)

    yield write
    sys.modules.pop("training.recipes.toy", None)


def test_fit_trains_by_a_recipe(write_recipe, small_model, corners_file, tmp_path, capsys):
    write_recipe(RECIPE)
    command = ["vit3", "--recipe=toy", f"--data-dir={corners_file}", f"--out={tmp_path / 'run'}"]
    assert run(command) == 0
    m = metrics(tmp_path)
    assert (m["recipe"], m["settings"]["optimizer"], m["train_images"]) == ("toy", "sgd", 64)
    # Another optimizer in the same folder is another training.
    assert run([*command, "--optimizer=adamw"]) == 2
    assert "optimizer 'sgd', not 'adamw'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"learning-rate"', '"lerning-rate"', "Did you mean 'learning-rate'?"),
        ('"sgd"', '"sdg"', "'optimizer' to 'sdg', which it cannot be: choose from adamw, sgd."),
        ('"epochs": 1', '"epochs": "one"', "sets 'epochs' to 'one', which it cannot be."),
        ('"epochs": 1', '"keep-last": "yes"', "sets 'keep-last' to 'yes'"),
        ("NAMES", "NAMSE", "has NAMSE, which no recipe has. Did you mean 'NAMES'?"),
        ("SEEDS = 1", "", "has no SEEDS."),
        ("SEEDS = 1", "SEEDS = 0", "SEEDS of at least 1"),
        ("SEEDS = 1", "SEEDS = '1'", "must have SEEDS of the type int, found '1'."),
        ("SEEDS = 1", "SEEDS = = 1", "does not run as Python"),
        ("SEEDS = 1", "SEEDS = 1 + ''", "does not run as Python (unsupported operand"),
        ("SEEDS = 1", "SEEDS = 1; CALLBACKS = ('training.X',)", "has 'training.X' in CALLBACKS"),
    ],
)
def test_a_typo_in_a_recipe_is_one_sentence(write_recipe, capsys, old, new, sentence):
    write_recipe(RECIPE.replace(old, new))
    assert run(["vit3", "--recipe=toy"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: the recipe 'toy' ")
    assert err.count("\n") == 1
    assert sentence in err


def test_a_typo_in_a_recipes_name_is_one_sentence():
    with pytest.raises(UserError, match="Did you mean 'cifar_tables'"):
        fit.main(["vit3", "--recipe", "cifar_table"])
