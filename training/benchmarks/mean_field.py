"""The mean-field recursions: their time, and their kernel beside that of neural-tangents.

`predict` on four kinds × 1,000 layers × 100 values of σ_w², on one core. Where the package
neural-tangents can be imported, its kernel of a ReLU FRN is computed layer by layer, too: its
NNGP entries are p and γ, and its NTK is Σ_l (σ_w² χ_w + σ_b² χ_b + σ_v² χ_v + σ_a² χ_a).
"""

import importlib
import os
import time

import numpy as np
from rich.console import Console
from rich.table import Table

LAYERS, SETTINGS = 1000, 100
# Seconds for the four kinds, and the largest relative difference from neural-tangents.
TIME_BAR, DIFFERENCE_BAR = 2.0, 1e-6
BIASES = {"sigma_b_sq": 0.5, "sigma_a_sq": 0.5}
KINDS = {
    "tanh RRN": ("rrn", "tanh", {"sigma_b_sq": 0.5}),
    "tanh FRN": ("frn", "tanh", BIASES),
    "ReLU FRN": ("frn", "relu", BIASES),
    "α-ReLU FRN": ("frn", "alpha_relu", {**BIASES, "alpha": 0.75}),
}
# Of the comparison: ReLU p grows by 1.5 a layer.
DEPTHS = (50, 400)


def cases(backend, quick):
    """The theory is NumPy's: one process for each kind on one backend, and the comparison."""
    del quick
    plain = [{"what": name} for name in KINDS]
    try:
        importlib.import_module("neural_tangents")
    except Exception:
        # It may also be installed beside a JAX that is too new for it.
        return plain
    return plain + [{"what": "neural-tangents", "depth": depth} for depth in DEPTHS]


def measure(what, depth=None):
    """Seconds on one core, or the comparison."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return _against_neural_tangents(depth) if depth else _time(what)


def _time(name):
    from keras_recres.probes import mean_field

    kind, activation, kwargs = KINDS[name]
    sigma_w_sq = np.linspace(0.02, 4, SETTINGS)

    def run():
        result = mean_field.predict(kind, activation, LAYERS, sigma_w_sq=sigma_w_sq, **kwargs)
        assert np.isfinite(result.log_p).all()

    return _seconds(run)


def _seconds(function, repeats=3):
    """The least wall and processor time of several runs; the first is one of them."""
    wall, processor = [], []
    for _ in range(repeats):
        starts = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - starts[0])
        processor.append(time.process_time() - starts[1])
    return {"wall": min(wall), "processor": min(processor)}


def _against_neural_tangents(depth):
    import jax

    jax.config.update("jax_enable_x64", True)
    from neural_tangents import stax

    from keras_recres.probes import mean_field

    # The kernel is that of infinite width; this one is only a shape.
    width, e0 = 2, 0.3
    std = {"W_std": 1.0, "b_std": 0.5**0.5}
    branch = stax.serial(stax.Dense(width, **std), stax.Relu(), stax.Dense(width, **std))
    block = stax.serial(stax.FanOut(2), stax.parallel(branch, stax.Identity()), stax.FanInSum())
    # A dense layer before the first block: neural-tangents adds Gaussian features alone.
    stem = stax.serial(stax.Dense(width, W_std=1.0, b_std=0.0))[2]
    kernel_of_block = jax.jit(block[2])
    # Two inputs of mean square 1 and cosine e₀.
    x = np.sqrt(2.0) * np.array([[1.0, 0.0], [e0, np.sqrt(1 - e0**2)]])

    def theirs():
        kernel, rows = stem(x), []
        for _ in range(depth):
            kernel = kernel_of_block(kernel)
            rows.append((kernel.nngp[0, 0], kernel.nngp[0, 1], kernel.ntk[0, 0]))
        return np.array(rows, dtype="float64")

    def ours():
        return mean_field.predict("frn", "relu", depth, e0=e0, **BIASES)

    rows, result = theirs(), ours()
    differences = {
        "p": np.abs(rows[:, 0] / result.p[1:] - 1).max(),
        "gamma": np.abs(rows[:, 1] / result.gamma[1:] - 1).max(),
        "ntk": np.abs(rows[:, 2] / _tangent_kernels(result) - 1).max(),
    }
    return {
        **{key: float(value) for key, value in differences.items()},
        **{f"theirs_{key}": value for key, value in _seconds(theirs).items()},
        **_seconds(ours),
    }


def _tangent_kernels(result):
    """The neural tangent kernel of the networks of 1, …, depth layers, from the χ of one.

    With that of a dense layer before the first, of variance 1, whose inputs have mean square 1.
    """
    # χ of layer l in a network of m layers is χ_l/χ_m of the deepest one.
    per_layer = (
        result.sigma_w_sq * result.chi_w
        + result.sigma_b_sq * result.chi_b
        + result.sigma_v_sq * result.chi_v
        + result.sigma_a_sq * result.chi_a
    )[1:]
    return (result.chi[0] + np.cumsum(per_layer)) / result.chi[1:]


def report(rows):
    """Prints the times beside the bar, and the comparison."""
    console = Console(width=110)
    for backend in dict.fromkeys(row["backend"] for row in rows):
        own = [row for row in rows if row["backend"] == backend]
        table = Table(title=f"predict, {LAYERS:,} layers × {SETTINGS} σ_w² (Keras on {backend})")
        for heading in ("kind", "wall, s", "processor, s"):
            table.add_column(heading, justify="left" if heading == "kind" else "right")
        timed = [row for row in own if "p" not in row]
        for row in timed:
            table.add_row(row["what"], f"{row['wall']:.3f}", f"{row['processor']:.3f}")
        total = {key: sum(row[key] for row in timed) for key in ("wall", "processor")}
        table.add_row("all", f"{total['wall']:.3f}", f"{total['processor']:.3f}")
        console.print(table)
        met = total["processor"] <= TIME_BAR
        console.print(
            f"{total['processor']:.2f} s of one core; the bar of {TIME_BAR:g} s is "
            f"{'met' if met else 'MISSED'}"
        )
        compared = [row for row in own if "p" in row]
        for row in compared:
            worst = max(row[key] for key in ("p", "gamma", "ntk"))
            console.print(
                f"neural-tangents, {row['depth']} layers, one σ_w²: p, γ and NTK differ by at most "
                f"{row['p']:.1e}, {row['gamma']:.1e}, {row['ntk']:.1e}; the bar of "
                f"{DIFFERENCE_BAR:g} is {'met' if worst <= DIFFERENCE_BAR else 'MISSED'}; "
                f"{1e3 * row['theirs_wall']:.0f} ms theirs (compiled), {1e3 * row['wall']:.0f} ours"
            )
        if not compared:
            console.print("neural-tangents can't be imported here: not compared.")
