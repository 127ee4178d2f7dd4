"""`reproduce mean_field` and `benchmark mean_field`: what they write and print."""

import csv
import json
import math

import numpy as np
import pytest

from keras_recres.probes import mean_field
from training import errors
from training.benchmarks import mean_field as benchmark
from training.studies import __main__ as reproduce

pytestmark = pytest.mark.neutral


@pytest.mark.slow
def test_small_networks(tmp_path, capsys):
    arguments = ["--width", "24", "--depth", "3", "--draws", "3", "--out", str(tmp_path)]
    assert errors.run(reproduce.main, ["mean_field", *arguments]) == 0
    for name in ("mean_field", "shortcuts", "phases"):
        for ending in (".png", ".svg"):
            assert (tmp_path / name).with_suffix(ending).stat().st_size > 1000
    with open(tmp_path / "values.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # 6 quantities of the 4 states and 9 of the 3 layers, 7 in an RRN, which has no V and a.
    for name, count in {
        "tanh RRN": 6 * 4 + 7 * 3,
        "tanh FRN": 6 * 4 + 9 * 3,
        "plain tanh, chaotic": 6 * 4 + 7 * 3,
    }.items():
        assert len([row for row in rows if row["network"] == name]) == count
    p = [row for row in rows if (row["network"], row["quantity"]) == ("ReLU FRN", "p")]
    theory = mean_field.predict("frn", "relu", 3, sigma_b_sq=0.5, sigma_a_sq=0.5)
    np.testing.assert_allclose([float(row["theory"]) for row in p], theory.p, rtol=1e-5)
    assert all(float(row["standard_error"]) > 0 for row in p[1:])
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (summary["width"], summary["depth"], summary["draws"]) == (24, 3, 3)
    assert set(summary["farthest_in_standard_errors"]) == {
        "tanh RRN", "tanh FRN", "ReLU FRN", "α-ReLU FRN", "plain tanh, ordered",
        "plain tanh, chaotic",
    }  # fmt: skip
    out = capsys.readouterr().out
    assert "values within 3 standard errors" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "1"], "--width must be at least 2, found 1"),
        (["--draws", "1"], "--draws must be at least 2, found 1"),
        (["--alpha", "0.5"], "--alpha must be in (0.5, 1]"),
    ],
)
def test_mistakes_are_named(arguments, message, tmp_path, capsys):
    assert errors.run(reproduce.main, ["mean_field", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_the_tangent_kernel_of_relu_networks():
    # Of an FRN without biases and σ_w² = σ_v² = 2, after a first layer: p = χ₀/χ_l = 3^l, so that
    # each kernel adds (2 · ½ + 2 · ½)·3^{l−1}·… = 4 · 3^{m−1} to the first layer's 3^m.
    result = mean_field.predict("frn", "relu", 4, sigma_w_sq=2.0, sigma_v_sq=2.0)
    m = np.arange(1, 5)
    np.testing.assert_allclose(
        benchmark._tangent_kernels(result), 3.0**m + m * 4 * 3.0 ** (m - 1), rtol=1e-12
    )


def test_the_benchmark_reports(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "LAYERS", 5)
    rows = [
        {"backend": "jax", **case, **benchmark._time(case["what"])}
        for case in benchmark.cases("jax", quick=True)
        if "depth" not in case
    ]
    assert [row["what"] for row in rows] == list(benchmark.KINDS)
    assert all(0 < row["processor"] < math.inf for row in rows)
    compared = {"what": "neural-tangents", "depth": 5, "p": 1e-12, "gamma": 0.0, "ntk": 1e-5}
    times = {"theirs_wall": 0.1, "wall": 0.2, "theirs_processor": 0.1, "processor": 0.2}
    benchmark.report([*rows, {"backend": "jax", **compared, **times}])
    out = " ".join(capsys.readouterr().out.split())
    assert "the bar of 2 s is met" in out
    assert "the bar of 1e-06 is MISSED" in out
