"""`Settings`: when two trainings are the same one, whatever version recorded them."""

import argparse
import dataclasses
import json

import pytest

from training.errors import UserError
from training.fit import loop as fit
from training.fit import options, run_folder
from training.jobs import many_runs
from training.ledger import filed_runs
from training.settings import DEFAULTS, Settings

pytestmark = pytest.mark.neutral

# The settings.json of a maze network, from when `training.fit` had fewer options.
EARLIER = {
    **{"name": "maze_rec", "dataset": "mazes/11", "epochs": 6, "batch_size": 50},
    **{"learning_rate": 0.001, "weight_decay": 0.0002, "warmup_epochs": 0.1, "schedule": "cosine"},
    **{"epsilon": 1e-07, "clip_norm": 1.0, "label_smoothing": 0.0, "keep_last": False},
    **{"augment": "", "mixup": 0.0, "seed": 0, "precision": "float32", "limit": None},
    **{"eval_limit": None, "steps": "incremental(30)", "model_arguments": {}},
    **{"tag": "mazes_11", "backend": "torch"},
}


def test_what_is_filed_is_read_and_recorded_as_it_is():
    filed = [metrics["settings"] for metrics in filed_runs.read()]
    assert len(filed) > 80
    for settings in (*filed, EARLIER):
        assert Settings.of(settings).recorded() == settings
    keys = {Settings.of(settings).key() for settings in filed}
    assert len(keys) == len(filed)
    assert ("cifar_medium", "cifar10_jpeg", "[{}, {}]", 0) in keys
    how = '[{}, {"steps": "incremental(30)"}]'
    assert Settings.of(EARLIER).key() == ("maze_rec", "mazes_11", how, 0)


def test_a_folder_of_before_goes_on_with_the_same_command_and_no_other(tmp_path):
    """With weights and an epoch's backup, as a training leaves them that was interrupted."""
    (tmp_path / "settings.json").write_text(json.dumps(EARLIER))
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "epoch-2.weights.h5").write_text("")
    metadata = {"epoch": 2, "weights": "epoch-2.weights.h5"}
    (tmp_path / "backup" / "training_metadata.json").write_text(json.dumps(metadata))

    def asked(*more):
        a = fit.arguments(["maze_rec", "--recipe=mazes", "--precision=float32", *more])
        return {**options.settings_of(a, "maze_rec", "mazes_11"), "backend": "torch"}

    folder = run_folder.RunFolder(tmp_path, asked())
    assert folder.epochs_done == 2
    folder.close()
    assert json.loads((tmp_path / "settings.json").read_text()) == EARLIER
    with pytest.raises(UserError, match=r"a training with ema 0\.0, not 0\.9: give another"):
        run_folder.RunFolder(tmp_path, asked("--ema=0.9"))


def test_every_setting_tells_one_training_from_another():
    one = Settings.of(EARLIER)
    for field in dataclasses.fields(Settings)[:-1]:
        other = dataclasses.replace(one, **{field.name: "other"})
        assert one.differences(other) == {field.name: (getattr(one, field.name), "other")}
        assert other.recorded()[field.name] == "other"
        assert not one.differences(other, ignoring=(field.name,))
    # Of code that has an option which this one has not.
    newer = {**EARLIER, "warp": 9}
    assert one.differences(newer) == {"warp": (None, 9)}
    assert Settings.of(newer).recorded() == newer
    assert not one.differences({**EARLIER, **DEFAULTS, "steps": one.steps, "clip_norm": 1.0})


def test_every_option_that_changes_a_result_is_a_setting():
    a = fit.arguments(["vit3", "--dataset=mnist"])
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert vars(a).keys() - set(options.NOT_SETTINGS) <= fields
    assert not fields & set(options.NOT_SETTINGS)


def test_a_study_asks_the_same_question(tmp_path):
    run = many_runs.Run("x", "maze_rec", 0, tmp_path, recipe="mazes")
    a = argparse.Namespace(epochs=6, limit=None, precision="auto", data_dir=None)
    assert run.differs(EARLIER, a) == {}
    a.epochs, a.limit, a.precision = 7, 100, "mixed_bfloat16"
    assert run.differs(EARLIER, a) == {
        "epochs": (6, 7),
        "limit": (None, 100),
        "eval_limit": (None, 100),
        "precision": ("float32", "mixed_bfloat16"),
    }
