"""Dynamical systems: fields that are fitted, networks in depth and in time, what is told."""

import csv

import numpy as np
import pytest

from training.studies import __main__ as reproduce
from training.studies import ode, ode_systems


@pytest.mark.neutral
def test_more_units_fit_a_field_more_closely_and_only_in_its_box():
    system = ode_systems.SYSTEMS["van der Pol"]
    few, many = (ode_systems.fit(system, units) for units in (20, 100))
    assert system.error(many, 1.0) < 0.1 * system.error(few, 1.0)
    assert system.error(many, 2.0) > 100 * system.error(many, 1.0)
    kernel, bias, velocity, drift = many.weights
    s = np.array([[0.5, -1.0]])
    assert many(s) == pytest.approx(np.tanh(s @ kernel + bias) @ velocity + drift)


@pytest.mark.neutral
def test_a_force_that_is_given_and_one_of_the_state_drive_the_same_system():
    inside, given = (
        ode_systems.SYSTEMS[f"Duffing, force {how}"] for how in ("as a state", "given")
    )
    s, t = np.array([[0.3, -0.2]]), 0.7
    whole = inside.velocity(np.c_[s, np.cos(t), np.sin(t)])
    assert whole[:, :2] == pytest.approx(given.velocity(s) + given.force(t))


@pytest.mark.neutral
def test_errors_are_told_in_powers_of_ten(tmp_path, monkeypatch, capsys):
    system = ode_systems.SYSTEMS["van der Pol"]
    short = {"van der Pol": ode_systems.dataclasses.replace(system, until=0.5)}
    monkeypatch.setattr(ode_systems, "SYSTEMS", short)
    monkeypatch.setattr(ode_systems, "LEARNT", 1000)
    monkeypatch.setattr(ode_systems, "as_residual", lambda units: f"{units} units in Keras.")
    command = ["ode", "--units", "10", "40", "--seeds=2", f"--out={tmp_path}"]
    assert reproduce.main(command) == 0
    said = (tmp_path / "ode.md").read_text(encoding="utf-8")
    assert "van der Pol, trajectories: 40 units instead of 10 make" in said
    assert "95 % interval" in said
    with open(tmp_path / "ode.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["units"] for row in rows] == ["10", "10", "40", "40"]
    assert (tmp_path / "ode.png").read_bytes().startswith(b"\x89PNG")
    numbers = [{k: v if k == "system" else float(v) for k, v in row.items()} for row in rows]
    assert ode.lines(numbers)[1][0] == "van der Pol"


def test_the_network_is_a_residual_block_that_is_run_again():
    said = ode_systems.as_residual(20, steps=5)
    differ = [float(part.split()[0].strip(",")) for part in said.split(" by ")[1:]]
    assert differ[0] < 1e-6
    assert differ[1] < 1e-4
