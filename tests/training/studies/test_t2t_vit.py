"""The claim of table 2, from filed trainings."""

import dataclasses
import json

import keras
import pytest

from keras_recres import zoo
from training import data, errors, recipes
from training.studies import __main__ as reproduce
from training.studies import by_image
from training.studies.t2t_vit import PAIRS, STUDY

pytestmark = pytest.mark.neutral

SETTINGS = {"tag": "tiny_imagenet80", "epochs": 50, "limit": None, "backend": "jax"}


@pytest.fixture
def filed(empty_zoo):
    """Files trainings: {name: accuracy by seed}, with other settings if there are any."""

    def file(accuracies, **changes):
        path = empty_zoo / "logs" / "trainings.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:
            for name, values in accuracies.items():
                for seed, value in enumerate(values):
                    settings = {**SETTINGS, "name": name, "seed": seed, **changes}
                    lines.write(json.dumps({"val_accuracy": value, "settings": settings}) + "\n")

    return file


def run(tmp_path, *more):
    return errors.run(reproduce.main, ["t2t_vit", f"--out={tmp_path / 'out'}", *more])


@pytest.mark.slow
def test_differences_are_told_with_the_spread_of_all_seeds(filed, tmp_path, capsys):
    filed({"vit3": (0.50, 0.502, 0.504), "vit3_rec": (0.531, 0.533, 0.535), "vit7": (0.6,)})
    # A form of one's own is another network.
    filed({"vit3": (0.9,)}, model_arguments={"depth": 9})
    assert run(tmp_path) == 0
    said, err = capsys.readouterr()
    assert "training.pending --names vit7_rec.tiny_imagenet80 vit7_rec_plus.tiny_ima" in err
    start = "vit3_rec against vit3, with the same parameters (printed +5.63 on ImageNet): "
    assert start + "more accurate; +3.10 ± 0.16 points (6 trainings, 95 % interval +2.65 to" in said
    assert "vit7_rec against vit7, with the same parameters (printed +2.94 on" in said
    assert "not measured yet" in said
    assert "both depths together" not in said  # There is one of 7 blocks only.
    text = (tmp_path / "out" / "t2t_vit.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[4:] for line in text.splitlines() if line.startswith("| vit")]
    assert rows == [
        ["50.20 ± 0.20", "3 |"],
        ["53.30 ± 0.20", "3 |"],
        ["60.00", "1 |"],
        ["pending", " |"],
        ["pending", " |"],
    ]
    assert "vit7_rec_plus against vit7_rec, with 0.27% more parameters: not measured" in said
    parameters = [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| vit")]
    assert parameters[0] == parameters[1] != parameters[2] == parameters[3]
    assert (tmp_path / "out" / "t2t_vit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        (
            {"epochs": 9},
            (),
            "vit3_rec can't be compared: they were trained with epochs 50 and 9",
        ),
        ({}, ("--tag=cifar",), "mnist, tiny_imagenet40, tiny_imagenet80, found 'cifar'"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(filed, tmp_path, capsys, changes, more, message):
    filed({"vit3": (0.5,)})
    filed({"vit3_rec": (0.5,)}, **changes)
    assert run(tmp_path, *more) == 2
    assert message in capsys.readouterr().err


def test_a_table_of_nothing_is_refused_with_the_command_that_trains_it(empty_zoo, tmp_path, capsys):
    assert run(tmp_path) == 2
    err = capsys.readouterr().err
    assert "`python -m training.pending --names vit3.tiny_imagenet80 vit3_rec.tiny_" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_pairs_of_other_recipes_stand_in_one_table_with_a_word(filed, tmp_path, capsys):
    filed({"vit3": (0.5,), "vit3_rec": (0.6,)})
    filed({"vit7": (0.7,), "vit7_rec": (0.75,)}, epochs=9)
    assert run(tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "vit3 and vit7 say nothing of each other: they were trained with epochs 50 and 9" in said
    assert "+10.00 points (2 trainings" in said
    assert "+5.00 points (2 trainings" in said
    # Of differences within one recipe each: 10 and 5 points.
    assert "both depths together: not decided: too few trainings; +7.50 points (4 trainings" in said


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["cifar10_jpeg", "cifar10"])
def test_a_network_is_compared_as_its_recipe_trains_it(filed, tmp_path, capsys, tag):
    changes = {"tag": tag, "epochs": 10}
    filed({"vit7_rec": (0.7,), "vit7_rec_plus": (0.71,)}, **changes)
    recipe = recipes.load("cifar10_vit_plus").settings
    how = {"epochs": recipe["epochs"], "steps": recipe["steps"]}
    filed({"vit7_rec_plus": (0.75,)}, **changes | how)
    filed({"vit7_rec": (0.9,)}, **changes | {"steps": recipe["steps"]})
    assert run(tmp_path, f"--tag={tag}") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "vit7_rec_plus against vit7_rec, with 0.27% more parameters, trained with epochs 13 (not "
        "10) and steps 'progressive(1,2)' (not None): not decided: too few trainings; +5.00 points"
    ) in said
    assert "say nothing of each other" not in said


def test_a_recipe_of_its_own_excuses_what_it_asks_for_only(filed, tmp_path, capsys):
    changes = {"tag": "cifar10_jpeg", "epochs": 10}
    filed({"vit7_rec": (0.7,)}, **changes)
    changes |= {"epochs": 13, "steps": "progressive(1,2)", "backend": "torch"}
    filed({"vit7_rec_plus": (0.75,)}, **changes)
    assert run(tmp_path, "--tag=cifar10_jpeg") == 2
    said = "vit7_rec and vit7_rec_plus can't be compared: they were trained with backend 'jax' and"
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_weights_are_compared_image_by_image(toy_cifar, monkeypatch, tmp_path, capsys):
    # The real zoo's; on images that pass for CIFAR-10, so that they must be told its tag.
    load = data.load
    monkeypatch.setattr(
        data, "load", lambda *a, **kw: dataclasses.replace(load(*a, **kw), tag="cifar10_jpeg")
    )
    names = ("cifar_small", "cifar_small_metahead", "cifar_residual")
    found = by_image.rights(names, "cifar10_jpeg", toy_cifar / "cifar10.npz")
    assert list(found) == ["cifar_small", "cifar_small_metahead"]
    images = load("cifar10", "evaluation", toy_cifar / "cifar10.npz")
    wanted = {}
    for name in found:
        model = zoo.load(name)
        logits = keras.ops.convert_to_numpy(model(model.preprocess(images.images)))
        wanted[name] = logits.argmax(axis=1) == images.labels
        assert [value == 100 for value in found[name].values()] == wanted[name].tolist()
    one, other = (wanted[name].astype(float) for name in found)
    (said,) = by_image.sentences([names[:2], names[1:]], found)
    mean, error = 100 * (other - one).mean(), 100 * (other - one).std(ddof=1) / 128**0.5
    assert f"{mean:+.2f} ± {error:.2f} points (128 images, 95 % interval " in said


@pytest.mark.slow
def test_weights_are_not_compared_on_other_images(toy_cifar, tmp_path, capsys):
    assert run(tmp_path, "--tag=cifar10_jpeg", f"--data-dir={toy_cifar}/cifar10.npz") == 2
    assert "weights are of cifar10_jpeg, but the images are those of cifar10; `python" in (
        capsys.readouterr().err
    )
    for arguments, said in (
        (["--limit=1"], "--limit must be at least 2, found 1."),
        (["--limit=9"], "--limit is for the images of --data-dir: give that, too."),
        (["--data-dir=nowhere"], "vit7_rec_plus on tiny_imagenet80 to compare: `python"),
    ):
        assert run(tmp_path, *arguments) == 2
        assert said in capsys.readouterr().err


def test_damaged_weights_are_a_sentence(toy_cifar, monkeypatch):
    def damaged(*args, **kwargs):
        raise ValueError("the file is cut short")

    load = data.load
    monkeypatch.setattr(
        data, "load", lambda *a, **kw: dataclasses.replace(load(*a, **kw), tag="cifar10_jpeg")
    )
    monkeypatch.setattr(zoo, "load", damaged)
    with pytest.raises(errors.UserError, match="the file is cut short"):
        by_image.rights(["cifar_small"], "cifar10_jpeg", toy_cifar / "cifar10.npz")


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_a_sentence(empty_zoo, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert run(tmp_path) == 2
    assert capsys.readouterr().err.endswith("/out cannot be written (File exists).\n")


@pytest.mark.slow
def test_an_empty_ledger_has_no_means(empty_zoo):
    a = STUDY.parse([])
    claims = STUDY.claims(STUDY.table(STUDY.runs(a), a), a)
    assert [effect.mean for _, effect in claims] == [None] * len(PAIRS)
