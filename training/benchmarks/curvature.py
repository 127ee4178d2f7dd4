"""The curvature probe: every layer's κ along a curve, against plain forward passes.

"dense", a tanh network of 4 layers of 256 units, and "vit7", T2T-ViT-7 on 64 × 64 images, at 200 θ;
on TensorFlow also 4 layers of 64 units by Jacobians of nested gradient tapes.
"""

import keras
import numpy as np
from keras import ops
from rich.console import Console
from rich.table import Table

from training.benchmarks.timing import peak_mib, seconds, seconds_in_turns

THETAS = 200
# Plain forward passes that all layers' κ may cost, and how much faster than Jacobians it is.
PASSES_BAR = {"dense": 6, "vit7": 10}
JACOBIAN_BAR = 50
SMALL = "dense, 64 units"
METHODS = {
    "tensorflow": ("forward", "tape", "finite"),
    "jax": ("forward", "finite"),
    "torch": ("forward", "finite"),
}


def cases(backend, quick):
    """The cases of one backend: a model each, with all methods beside one another."""
    found = [{"network": "dense", "finite": True}]
    if backend == "tensorflow":
        found.append({"network": SMALL, "finite": False})
    if not quick:
        # Differences need 45 forward passes in float64, here minutes.
        found.append({"network": "vit7", "finite": False})
    return found


def measure(network, finite):
    """Seconds of each way for all θ, of their first calls, and the peak memory, MiB."""
    from keras_recres.backend import probe
    from keras_recres.probes import curves, extrinsic_curvature

    model = _model(network)
    circle = curves.circle(
        2.0, axes=np.random.default_rng(0).normal(size=(2, *model.input_shape[1:]))
    )
    theta = circle.theta(THETAS)
    functions = {"plain": _plain(model, circle, theta)}
    for method in METHODS[keras.backend.backend()]:
        if method != "finite" or finite:
            functions[method] = lambda method=method: extrinsic_curvature(
                model, circle, theta, method=method, check=False
            )
    if network == SMALL:
        functions["jacobians"] = _jacobians(model, circle, theta)
    first, before = {}, peak_mib()
    for name, function in functions.items():
        first[name] = seconds(function, 1)
    later = seconds_in_turns(functions, 30, budget=30.0)
    if network == SMALL:
        found = functions[probe.FASTEST]().kappa[1:]
        np.testing.assert_allclose(functions["jacobians"](), found, rtol=1e-3)
    return {"first": first, "later": later, "mib": peak_mib() - before, "auto": probe.FASTEST}


def _model(network):
    if network == "vit7":
        from keras_recres.models import t2t_vit

        return t2t_vit(depth=7, input_shape=(64, 64, 3), num_classes=10)
    units = 64 if network == SMALL else 256
    inputs = x = keras.Input((units,))
    for _ in range(4):
        x = keras.layers.Dense(units, activation="tanh")(x)
    return keras.Model(inputs, x)


def _plain(model, curve, theta):
    """A forward pass of the same inputs, compiled in the same way, that waits for its result."""
    from keras_recres import backend
    from keras_recres.backend import probe

    def forward(values, theta):
        with keras.StatelessScope(list(zip(model.variables, values, strict=True))):
            return model(curve(theta), training=False)

    compiled = probe.compiled(forward)
    theta = ops.convert_to_tensor(theta)
    return lambda: ops.convert_to_numpy(compiled(backend.raw_values(model.variables), theta))


def _jacobians(model, curve, theta):
    """κ of every layer by the Jacobian of a Jacobian, as one would write it down."""
    import tensorflow as tf

    parts = keras.Model(model.inputs, [layer.output for layer in model.layers[1:]])

    @tf.function
    def kappas(theta):
        found = []
        for i in range(len(parts.outputs)):
            with tf.GradientTape() as outer:
                outer.watch(theta)
                with tf.GradientTape() as inner:
                    inner.watch(theta)
                    output = parts(curve(theta[:, 0]), training=False)[i]
                v = inner.batch_jacobian(output, theta)[..., 0]
            a = outer.batch_jacobian(v, theta)[..., 0]
            vv, aa, va = (tf.reduce_sum(p * q, axis=-1) for p, q in ((v, v), (a, a), (v, a)))
            found.append(tf.sqrt(tf.maximum(vv * aa - va * va, 0)) / vv**1.5)
        return tf.stack(found)

    theta = tf.constant(theta[:, None])
    return lambda: kappas(theta).numpy()


def report(rows):
    """Prints the table in plain forward passes, and the bars."""
    console = Console(width=110)
    table = Table(title=f"κ of every layer at {THETAS} θ, in plain compiled forward passes")
    for heading in (
        "backend",
        "network",
        "plain, ms",
        "way",
        "passes",
        "first call, s",
        "peak +MiB",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        plain = row["later"]["plain"]
        for way, later in row["later"].items():
            if way != "plain":
                table.add_row(
                    row["backend"],
                    row["network"],
                    f"{1e3 * plain:.2f}",
                    way + (" (auto)" if way == row["auto"] else ""),
                    f"{later / plain:.1f}",
                    f"{row['first'][way]:.1f}",
                    f"{row['mib']:.0f}",
                )
    console.print(table)
    for row in rows:
        later, network = row["later"], row["network"]
        if network in PASSES_BAR:
            passes = later[row["auto"]] / later["plain"]
            console.print(
                f"{row['backend']}: all layers of {network} cost {passes:.1f} plain passes "
                f"(bar {PASSES_BAR[network]}){_bar(passes <= PASSES_BAR[network])}"
            )
        else:
            ratio = later["jacobians"] / later[row["auto"]]
            console.print(
                f"{row['backend']}: {ratio:.0f} times faster than nested tape Jacobians at 64 "
                f"units (bar {JACOBIAN_BAR}){_bar(ratio >= JACOBIAN_BAR)}"
            )


def _bar(met):
    return f": {'met' if met else 'MISSED'}"
