"""What recurrence buys convolutions: arms of equal computation, and the share ρ in words."""

import pytest

from keras_recres import zoo
from keras_recres.models import multiply_adds
from training import errors
from training.fit import run_folder
from training.ledger import filed_runs
from training.ledger.summary import Summary
from training.studies import __main__ as reproduce
from training.studies import shared_resnet
from training.studies.forms import Form, Table

pytestmark = pytest.mark.neutral


def test_arms_have_the_computation_and_the_parameters_that_they_are_compared_for():
    forms = shared_resnet.STUDY.forms(shared_resnet.STUDY.parse([]))
    built = {f.label: zoo.build(f.name, tag="cifar10", **f.arguments) for f in forms}
    products = {arm: multiply_adds(model).total for arm, model in built.items()}
    assert products["tied"] == products["untied"] == 11_428_160
    assert products["once"] == products["once_longer"] == 4_350_272
    assert products["tied"] / products["once"] == pytest.approx(shared_resnet.LONGER, abs=0.03)
    counts = {arm: model.count_params() for arm, model in built.items()}
    # Norms alone are added: a scale, a shift and two statistics for each channel of each step.
    assert counts["tied"] - counts["once"] == 2 * 2 * 4 * (8 + 16 + 32)
    assert counts["untied"] > 2 * counts["once"]
    # One norm for all steps is one step's: the network that runs once.
    assert counts["one_norm"] == counts["once"]
    assert products["one_norm"] == products["tied_16"] == 2_857_280
    assert built["states"].output_shape == (None, 10)


def test_the_share_of_depth_is_told_with_its_interval():
    values = {"once": (60.0, 60.4), "tied": (61.1, 61.3), "untied": (63.0, 63.4)}
    measured = [
        Summary(arm, {seed: {"val_accuracy": y / 100} for seed, y in enumerate(v)})
        for arm, v in values.items()
    ]
    table = Table([Form(arm, "shared_resnet") for arm in values], measured)
    three, longer, *_, share = shared_resnet.STUDY.claims(table, None)
    assert str(three[1]).startswith("+1.00 ± 0.2")
    assert longer[1].mean is None
    assert "ρ = 0.33 (95 % interval 0.0" in share


@pytest.mark.slow
def test_an_arm_is_trained_told_and_known_elsewhere(toy_cifar, empty_zoo, tmp_path, capsys):
    command = ["shared_resnet", f"--data-dir={toy_cifar}/cifar10.npz", "--seeds=1", "--epochs=1"]
    command += ["--arms", "once_longer"]
    assert errors.run(reproduce.main, [*command, f"--out={tmp_path / 'here'}", "--record"]) == 0
    table = (tmp_path / "here" / "shared_resnet.md").read_text()
    assert "| once, 2.6 times the epochs | 31,170 | 4,350,272 | 3 |" in table
    assert (tmp_path / "here" / "shared_resnet.png").read_bytes().startswith(b"\x89PNG")
    folder = tmp_path / "here" / "once_longer" / "0"
    rows = shared_resnet.by_epoch(folder)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert all(row[shared_resnet.KAPPA] > 0 < row[shared_resnet.KINKS] for row in rows)
    logged = [100 * row["val_accuracy"] for row in run_folder.read_log(folder / "log.csv")]
    assert [row[shared_resnet.ACCURACY] for row in rows[1:]] == logged
    # It is not a seed of the network that runs once for the recipe's epochs.
    assert filed_runs.read() == []
    assert [m["settings"]["epochs"] for m in filed_runs.read(filed_runs.CONTROLS)] == [3]
    elsewhere = [*command, f"--out={tmp_path / 'there'}", "--report", "--adopt=cifar10"]
    assert errors.run(reproduce.main, elsewhere) == 0
    assert "1 trainings adopted" in capsys.readouterr().err
    assert (tmp_path / "there" / "shared_resnet.md").read_text() == table
    # Filed again it is there once; asked for otherwise it is another one.
    assert errors.run(reproduce.main, [*elsewhere, "--record"]) == 0
    assert len(filed_runs.read(filed_runs.CONTROLS)) == 1
    other = [*command, f"--out={tmp_path / 'other'}", "--report", "--adopt=cifar10", "--epochs=2"]
    assert errors.run(reproduce.main, other) == 2
    assert "0 trainings adopted" in capsys.readouterr().err
