"""GroupedDense, MetaConv2D and Conv3dSubstitute against what one would write without them.

Every case is one model, or the same model in several forms with equal weights, compiled as Keras
does it by default (on TensorFlow without XLA, unless there is a GPU): a forward pass and a training
step of 128 examples.
"""

import keras
import numpy as np
from keras import ops
from rich.console import Console
from rich.table import Table

from keras_recres import layers, models
from training.benchmarks.timing import seconds_in_turn

BATCH = 128
# Features, groups, units: two heads of the paper, with 4 and 16 groups, and wider ones.
HEADS = ((2048, 4, 10), (1152, 16, 8), (2048, 16, 10), (4096, 16, 64))
# Side of the image, maps, groups: the small network's, those of the residual blocks, the medium's.
GROUPED = ((16, 16, 4), (16, 32, 8), (8, 64, 8), (8, 128, 16))
# Side, maps, filters, volume channels: those of the three networks.
VOLUMES = ((16, 16, 2, 1), (16, 32, 4, 4), (8, 64, 4, 4), (16, 64, 8, 4), (8, 128, 16, 8))
# GroupedDense at 16 groups against 16 layers; MetaConv2D against its parts, but for the clock.
DENSE_BAR, CONV_BAR = 2.0, 0.95


def cases(backend, quick):
    """The cases; quick leaves out the whole network."""
    found = [{"kind": "GroupedDense", "sizes": sizes} for sizes in HEADS]
    found += [{"kind": "MetaConv2D", "sizes": sizes} for sizes in GROUPED]
    found += [{"kind": "Conv3dSubstitute", "sizes": sizes} for sizes in VOLUMES]
    return found + ([] if quick else [{"kind": "cifar_residual_meta", "sizes": ()}])


def measure(kind, sizes):
    """Seconds of a forward pass and of a training step of every form.

    Returns:
        {"forward": {form: seconds}, "train": {form: seconds}}; the forms' outputs were compared.
    """
    builders = {
        "GroupedDense": grouped_dense,
        "MetaConv2D": meta_conv2d,
        "Conv3dSubstitute": conv3d,
        "cifar_residual_meta": residual_meta,
    }
    forms = builders[kind](*sizes)
    rng = np.random.default_rng(0)
    shape = next(iter(forms.values())).input_shape[1:]
    x = ops.convert_to_tensor(rng.standard_normal((BATCH, *shape)).astype("float32"))
    expected, passes = None, {"forward": {}, "train": {}}
    for form, model in forms.items():
        give_weights(model)
        model.compile(keras.optimizers.SGD(0.0), "mse")
        outputs = model.predict_on_batch(x)
        expected = outputs if expected is None else expected
        error = np.abs(outputs - expected).max()
        if not error <= 1e-5 * np.abs(expected).max():
            raise ValueError(f"{form!r} differs from the first form by {error:g}.")
        y = ops.zeros(outputs.shape)
        float(model.train_on_batch(x, y))
        passes["forward"][form] = lambda model=model: model.predict_on_batch(x)
        passes["train"][form] = lambda model=model, y=y: float(model.train_on_batch(x, y))
    budget = 20 if kind.startswith("cifar") else 3
    return {name: seconds_in_turn(of, 200, budget) for name, of in passes.items()}


def grouped_dense(features, groups, units):
    """GroupedDense, and as many Dense layers."""
    inputs = keras.Input((features,))
    width = features // groups
    slices = [inputs[:, g * width : (g + 1) * width] for g in range(groups)]
    separate = ops.stack([keras.layers.Dense(units)(s) for s in slices], axis=-1)
    ours = layers.GroupedDense(units, groups)(inputs)
    return {"ours": keras.Model(inputs, ours), "separate": keras.Model(inputs, separate)}


def meta_conv2d(side, maps, groups):
    """MetaConv2D, and a convolution, a PReLU and a batch norm for each group, then MetaLayer."""
    inputs = keras.Input((side, side, maps))
    width, slope = maps // groups, keras.initializers.Constant(0.25)
    parts = []
    for g in range(groups):
        x = inputs[..., g * width : (g + 1) * width]
        x = keras.layers.Conv2D(width, 3, padding="same")(x)
        x = keras.layers.PReLU(slope, shared_axes=[1, 2, 3])(x)
        parts.append(keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x))
    x = layers.MetaLayer(groups, axis=-2)(ops.stack(parts, axis=-2))
    x = keras.layers.PReLU(slope, shared_axes=[1, 2, 3, 4])(x)
    separate = keras.layers.Reshape((side, side, maps))(x)
    ours = layers.MetaConv2D(maps, 3, groups)(inputs)
    return {"ours": keras.Model(inputs, ours), "separate": keras.Model(inputs, separate)}


def conv3d(side, maps, filters, volume_channels):
    """Conv3dSubstitute as it is and in each of its forms, and Conv3D as the authors wrote it."""
    inputs = keras.Input((side, side, maps))
    depth = maps // volume_channels
    x = keras.layers.Reshape((side, side, volume_channels, depth))(inputs)
    x = keras.layers.Permute((4, 1, 2, 3))(x)
    x = keras.layers.Conv3D(filters, 3, padding="same")(x)
    x = keras.layers.Permute((2, 3, 4, 1))(x)
    x = keras.layers.Reshape((side, side, filters * depth))(x)
    forms = {"ours": "auto", "banded": "banded", "planes": "planes"}
    return {
        **{
            name: keras.Model(
                inputs, layers.Conv3dSubstitute(filters, 3, volume_channels, form=form)(inputs)
            )
            for name, form in forms.items()
        },
        "Conv3D": keras.Model(inputs, x),
    }


def residual_meta():
    """The residual Meta network, and with 8 convolutions in the place of each grouped one."""
    ours, separate = (models.cifar_net("residual", "meta") for _ in range(2))
    for layer in separate.layers:
        if isinstance(layer, layers.MetaConv2D):
            layer.form = "separate"
    return {"ours": ours, "separate": separate}


def give_weights(model):
    """The same numbers for every form: one kernel of G groups is G kernels side by side."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            # All groups alike, which the layer of ours is given, too.
            layer.set_weights([_numbers(w.shape) for w in layer.weights])
        elif isinstance(layer, layers.GroupedDense):
            kernel, bias = (w.shape for w in layer.weights)
            groups = kernel[0]
            layer.set_weights(
                [
                    np.repeat(_numbers(kernel[1:])[None], groups, 0),
                    np.repeat(_numbers(bias[:1])[:, None], groups, 1),
                ]
            )
        elif isinstance(layer, layers.MetaConv2D):
            width = layer.filters // layer.groups
            kernel = _numbers((*layer.kernel.shape[:3], width))
            layer.kernel.assign(np.tile(kernel, layer.groups))
            layer.bias.assign(np.tile(_numbers((width,)), layer.groups))
            layer.meta.kernel.assign(_numbers(layer.meta.kernel.shape))
        elif isinstance(layer, layers.Conv3dSubstitute | keras.layers.Conv3D | layers.MetaLayer):
            layer.set_weights([_numbers(w.shape) for w in layer.weights])


def _numbers(shape):
    shape = tuple(shape)
    return np.random.default_rng(0).normal(0, max(1, np.prod(shape[:-1])) ** -0.5, shape)


def report(rows):
    """Prints the times, how many times as fast ours is, and whether the bars are met."""
    console = Console(width=120)
    table = Table(title=f"{BATCH} examples, milliseconds, and times as fast as the others")
    for heading in ("backend", "layer", "sizes", "pass", "ours", "others", "times as fast"):
        table.add_column(heading, justify="right")
    for row in rows:
        for what in ("forward", "train"):
            times = dict(row[what])
            ours = times.pop("ours")
            table.add_row(
                row["backend"],
                row["kind"],
                "·".join(map(str, row["sizes"])),
                what,
                f"{1e3 * ours:.2f}",
                ", ".join(f"{form} {1e3 * t:.2f}" for form, t in times.items()),
                ", ".join(f"{t / ours:.2f}" for t in times.values()),
            )
    console.print(table)
    for backend in dict.fromkeys(row["backend"] for row in rows):
        own = [row for row in rows if row["backend"] == backend]
        dense = [r for r in own if r["kind"] == "GroupedDense" and r["sizes"][1] == 16]
        _bar(console, backend, "GroupedDense, 16 groups", dense, DENSE_BAR)
        conv = [r for r in own if r["kind"] == "MetaConv2D"]
        _bar(console, backend, "MetaConv2D", conv, CONV_BAR)
        volumes = [r for r in own if r["kind"] == "Conv3dSubstitute"]
        _bar(console, backend, "Conv3dSubstitute, against the fastest form", volumes, CONV_BAR)


def _bar(console, backend, what, rows, bar):
    """The least of all ratios of the best other form's time over ours."""
    least = min(
        min(t for form, t in row[p].items() if form != "ours") / row[p]["ours"]
        for row in rows
        for p in ("forward", "train")
    )
    said = "met" if least >= bar else "MISSED"
    console.print(f"{backend}: {what}: {least:.2f} times as fast at least; bar {bar:g}: {said}")
