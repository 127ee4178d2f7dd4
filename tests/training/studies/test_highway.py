"""Highway and plain networks: equally large, from one start, and what closed gates cost."""

import numpy as np
import pytest

from training.ledger.summary import Summary
from training.studies import __main__ as reproduce
from training.studies import highway
from training.studies.effects import sentence
from training.studies.forms import Table


@pytest.mark.neutral
def test_both_kinds_have_about_5000_parameters_a_layer():
    found = {kind: highway.network(kind, 10).count_params() for kind in highway.UNITS}
    assert found["highway"] == 784 * 50 + 50 + 9 * 2 * 2550 + 510
    assert found["plain"] == 784 * 71 + 71 + 9 * 5112 + 720


def test_a_training_begins_again_where_it_began():
    x = np.random.default_rng(0).uniform(size=(200, 784)).astype("float32")
    fit = highway.Fit(highway.network("highway", 3), x, np.arange(200) % 10, 0)
    fit(1e-2, 1)  # PyTorch draws another order in the first.
    first = fit(1e-3, 1)
    assert fit(1e-2, 1) != first
    assert fit(1e-3, 1) == pytest.approx(first, rel=1e-5)


def test_closed_gates_pass_the_input_on_and_are_opened_again():
    model = highway.network("highway", 3)
    x, labels = np.eye(784, dtype="float32")[:50], np.arange(50) % 10
    before = model.predict(x, verbose=0)
    rows = highway.gates(model, x, labels)
    assert [row["layer"] for row in rows] == [2, 3]
    assert all(row["bias"] == -2 and 0.05 < row["opening"] < 0.25 for row in rows)
    assert (model.predict(x, verbose=0) == before).all()
    # A layer that does nothing is not missed; one that does everything is.
    second, third = model.layers[2:4]
    second.gate.set_weights([0 * second.gate.get_weights()[0], np.full(50, -1e4)])
    labels = model.predict(x, verbose=0).argmax(-1)
    third.gate.set_weights([0 * third.gate.get_weights()[0], np.full(50, 1e4)])
    labels = model.predict(x, verbose=0).argmax(-1)
    lost = [row["points_lost"] for row in highway.gates(model, x, labels)]
    assert lost[0] == 0 < lost[1]


def test_a_network_is_trained_at_the_rate_that_was_searched(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(highway, "RATES", (1e-7, 1e-2))
    monkeypatch.setattr(highway, "DEPTHS", (3,))
    command = ["highway", "--arms=highway_3", "--seeds=2", "--epochs=1", "--limit=400"]
    assert reproduce.main([*command, f"--out={tmp_path}"]) == 0
    said = (tmp_path / "highway.md").read_text(encoding="utf-8")
    assert "| highway, 3 layers | 49,960 | 0.01 |" in said
    assert len(highway.read_gates(tmp_path / "highway_3" / "0" / "gates.csv")) == 2
    assert (tmp_path / "highway.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.neutral
def test_losses_are_told_in_powers_of_ten_and_gates_in_points():
    forms = highway.STUDY.forms(None)
    measured = [
        Summary(
            form.label,
            {
                seed: {
                    "log10_loss": -2.0 if form.name == "highway" else 0.1 * seed,
                    "lost_early": 9 + seed,
                    "lost_late": 0.1 * seed,
                }
                for seed in range(2)
            },
        )
        for form in forms
    ]
    table = Table(forms, measured, key="log10_loss")
    *first, last = [sentence(*claim) for claim in highway.STUDY.claims(table, None)]
    assert "highway against plain, 10 layers: lower; -2.05 ±" in first[0]
    assert "plain, 100 layers against 10: not decided; +0.00" in first[4]
    assert "those after them: costlier; +9.45 ±" in last
