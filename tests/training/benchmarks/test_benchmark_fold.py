"""What folding costs is measured."""

import json

import keras
import pytest

from training import benchmark, errors

pytestmark = [pytest.mark.neutral, pytest.mark.slow]


def test_it_is_measured(tmp_path, capsys):
    pytest.importorskip("tensorflow")  # Which writes the SavedModel.
    found, backend = tmp_path / "fold.json", keras.backend.backend()
    argv = ["fold", "--quick", "--backends", backend, "--json", str(found)]
    assert errors.run(benchmark.main, argv) == 0
    (row,) = json.loads(found.read_text())
    assert row["processor"] > 0
    assert set(row["forward"]) == {"model", "folded"}
    # Runs of equal blocks are one block each, with factors of 16: two thirds of the weights.
    weights = row["weights"]
    assert 0.6 < weights["folded"] / weights["model"] < 0.7
    # Each weight stands once in a file, however often its block runs.
    for size in row["files"].values():
        assert 1 < size / weights["folded"] < 1.1
    assert f"{row['files']['saved_model'] / weights['folded']:.3f} ×" in capsys.readouterr().out
