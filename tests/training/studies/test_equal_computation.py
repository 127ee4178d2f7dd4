"""Recurrence against longer training: what each costs, and what is compared with what."""

import json

import pytest

from keras_recres import zoo
from keras_recres.models import multiply_adds
from training import errors
from training.fit import loop as fit
from training.ledger import filed_runs
from training.studies import __main__ as reproduce
from training.studies import equal_computation

pytestmark = pytest.mark.neutral


def training(name, seed=0, accuracy=0.6, **settings):
    known = {"tag": "cifar10_jpeg", "epochs": 10, "limit": None, "precision": "mixed_bfloat16"}
    return {"val_accuracy": accuracy, "settings": {**known, "name": name, "seed": seed, **settings}}


@pytest.mark.slow
def test_a_training_costs_what_the_blocks_run():
    once = equal_computation.computation(training("vit3")["settings"])
    assert once == 10 * multiply_adds(zoo.build("vit3", tag="cifar10_jpeg")).total
    grown = training("vit7_rec_plus", epochs=13, steps="progressive(1,2)")["settings"]
    both = [equal_computation.computation(training(n)["settings"]) for n in ("vit7", "vit7_rec")]
    # Seven epochs once, six twice: what vit7_rec costs in ten.
    assert equal_computation.computation(grown) == (7 * both[0] + 6 * both[1]) / 10
    for name, factor in equal_computation.LONGER.items():
        costs = [
            equal_computation.computation(training(n)["settings"]) for n in (f"{name}_rec", name)
        ]
        assert costs[0] / costs[1] == pytest.approx(factor, abs=0.03)


@pytest.mark.slow
def test_longer_trainings_stand_beside_the_table_and_not_in_it(empty_zoo, tmp_path):
    seeds = {"vit3": (0.66, 0.662), "vit3_rec": (0.684, 0.686)}
    rows = [training(n, i, y) for n, values in seeds.items() for i, y in enumerate(values)]
    (empty_zoo / "logs").mkdir()
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    (empty_zoo / filed_runs.FILE).write_text(lines)
    command = [f"--out={tmp_path}", "--report", "--names", "vit3", "--precision=float32"]
    a = equal_computation.STUDY.parse(command)
    for run, accuracy in zip(equal_computation.STUDY.runs(a), (0.70, 0.702), strict=True):
        asked = fit.settings_of(fit.arguments(run.command(a)[3:]), run.name, "cifar10_jpeg")
        filed_runs.give(run, {"val_accuracy": accuracy, "settings": asked})
    assert errors.run(reproduce.main, ["equal_computation", *command, "--record"]) == 0
    assert (empty_zoo / filed_runs.FILE).read_text() == lines
    assert [m["val_accuracy"] for m in filed_runs.read(filed_runs.CONTROLS)] == [0.7, 0.702]
    told = (tmp_path / "equal_computation.md").read_text()
    assert "| vit3, longer | 20 | 0.890 | 70.10 ± 0.14 | 2 | float32 |" in told
    assert "vit3_rec against vit3 trained for as much computation: less accurate; -1.60" in told
    assert "vit7_rec against vit7 trained for as much computation: not measured yet" in told
    assert (tmp_path / "equal_computation.png").read_bytes().startswith(b"\x89PNG")
