"""--precision auto: what is fast here, in the settings as what it is, and one for all seeds."""

import json

import pytest

from tests.training.fit.test_fit import metrics, run
from training.fit import loop as fit
from training.fit import precision
from training.jobs import pending_rows, pending_trainings
from training.ledger import filed_runs

pytestmark = pytest.mark.neutral


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with these processor flags."""

    def make(flags, accelerator=False):
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs :\n")
        monkeypatch.setattr(precision, "CPUINFO", file)
        monkeypatch.setattr(precision, "has_accelerator", lambda: accelerator)

    return make


@pytest.mark.parametrize(
    ("flags", "accelerator", "chosen", "why"),
    [
        ("fpu avx512f avx512_bf16 sse", False, "mixed_bfloat16", "avx512_bf16"),
        ("amx_bf16 amx_tile avx512_bf16", False, "mixed_bfloat16", "amx_bf16, avx512_bf16"),
        ("fpu avx2 avx512f", False, "float32", "neither amx_bf16 nor avx512_bf16"),
        ("fpu", True, "mixed_bfloat16", "accelerator"),
    ],
)
def test_bfloat16_is_for_machines_that_multiply_it(machine, flags, accelerator, chosen, why):
    machine(flags, accelerator)
    found, said = precision.fastest()
    assert found == chosen
    assert why in said


def test_a_machine_that_tells_no_flags_computes_in_float32(machine, monkeypatch, tmp_path):
    machine("")
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "none")
    assert precision.fastest()[0] == "float32"


def test_what_was_chosen_stands_in_the_log_the_settings_and_where_it_goes_on(
    machine, small_model, fit_arguments, tmp_path, capsys
):
    command = fit_arguments("run", epochs=1, limit=64, precision="auto")
    machine("fpu")
    assert run(command) == 0
    assert "precision float32, since the processor has neither" in capsys.readouterr().err
    assert metrics(tmp_path, "run")["settings"]["precision"] == "float32"
    assert "chosen" not in metrics(tmp_path, "run")["settings"]
    # On a machine that would choose another it is another training.
    machine("amx_bf16")
    assert run(command) == 2
    assert "precision" in capsys.readouterr().err
    said = fit.arguments([*command, "--precision=float32"])
    assert said.precision == "float32"


def test_seeds_of_a_row_have_the_precision_of_those_that_are_filed(machine, monkeypatch, tmp_path):
    machine("fpu")
    (row,) = pending_rows.rows(["vit3.cifar10_jpeg"])
    (first, *_) = pending_trainings.trainings(row, tmp_path)
    assert first.settings()["precision"] == "mixed_bfloat16"
    assert "--precision=mixed_bfloat16" in first.command(tmp_path)
    monkeypatch.setattr(filed_runs, "of", lambda tag: {})
    (first, *_) = pending_trainings.trainings(row, tmp_path)
    assert first.settings()["precision"] == "float32"
    assert json.dumps(first.options) == "[]"
    assert first.path.parent.parent == tmp_path
