"""The list of faults is right; `python -m tests.mutations` tries them."""

import re

import pytest

from tests.mutations import FAULTS, ROOT, main

AREAS = {
    "layers": r"keras_recres/layers/(?!recurrence|depth_loop)",
    "the loop": r"keras_recres/layers/(recurrence|depth_loop)\.py",
    "models": "keras_recres/models/",
    "zoo": "keras_recres/zoo/",
    "probes": "keras_recres/probes/",
    "distribute": r"keras_recres/(distribute\.py|backend/\w+_distribution\.py)",
    "resume": r"training/(fit/(backup|run_folder|callbacks|outcome)|data/batches)\.py",
    "serve": "keras_recres/serve/",
    "cli": "keras_recres/cli/",
    "training": "training/",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file}: {fault.old[:40]}")
def test_a_fault_is_one_change_that_a_test_is_named_for(fault):
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1
    assert fault.new != fault.old
    file, *_, test = fault.test.split("::")
    function = re.escape(test.partition("[")[0])
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*def {function}\(", text, re.MULTILINE)
    assert fault.backend in ("tensorflow", "jax", "torch")


def test_every_area_has_faults():
    assert len(FAULTS) >= 40
    assert len(set(FAULTS)) == len(FAULTS)
    assert 3 * sum(fault.backend == "tensorflow" for fault in FAULTS) >= 2 * len(FAULTS)
    for area, pattern in AREAS.items():
        found = sum(re.match(pattern, fault.file) is not None for fault in FAULTS)
        assert found >= (6 if area == "the loop" else 1), area


def test_patterns_choose(capsys):
    assert main(["--list", "layers/", "*::test_what_an_error*"]) == 0
    out = capsys.readouterr().out
    assert "test_recurrent_residual.py::" in out
    assert "test_what_an_error_is_worth" in out
    assert "training/" not in out
    with pytest.raises(SystemExit) as stop:
        main(["nothing like this"])
    assert stop.value.code == 2
