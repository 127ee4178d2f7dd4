"""The layers with fewer parameters against what one would write of Keras' own layers.

Forward is `predict_on_batch`, training is `train_on_batch` with the paper's Adam, as `compile`
leaves them: compiled on TensorFlow (without XLA on a CPU) and JAX, eager on PyTorch. The forms of
one case are timed in turns in one process, so that what else the machine does meets them alike.

On two cores of an AMD EPYC with nothing else running, times as fast as separate layers:

- `GroupedDense` of 16 groups with PReLU and dropout, a training step: TensorFlow 2.2 to 2.9, JAX
  1.8 to 2.3, PyTorch 2.4 to 3.6; forward 1.1 to 1.2, 1.8 to 3.3, 4.1 to 5.1. Without them: 1.7 to
  2.8, 1.4 to 1.7, 1.8 to 2.4; forward 1.2 to 1.5, 1.3 to 1.9, 2.9 to 3.2. A call that computes
  nothing takes half of the time already on TensorFlow and JAX: beyond it the paper's head of 16
  groups is 7.7 (TensorFlow), 2.5 and 6.7 times as fast in training. With plain SGD, which spends
  less on many small weights than the paper's Adam, TensorFlow's steps are 1.6 to 2.0 times as fast.
- `MetaConv2D`, with plain SGD: 1.02 to 1.99 in all 24 cases; the step of the whole
  `cifar_residual_meta`: TensorFlow 1.60, JAX 1.07, PyTorch 1.26.
- `Conv3dSubstitute`: "auto" is within 1.15 of the fastest form; Keras' Conv3D takes JAX 3 to 34
  times as long.
"""

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from training.benchmarks.timing import seconds_in_turns

BATCH = 128
# Features, groups, units: the paper's heads, the first of them with more groups, and with more
# units. Without PReLU and dropout, "dense", those of 16 groups.
DENSE = ((2048, 4, 10), (1152, 16, 8), (2048, 16, 10), (2048, 32, 10), (2048, 16, 64))
SIXTEEN = tuple(size for size in DENSE if size[1] == 16)
# Side, maps, filters, groups: the two of the residual networks, the two of the medium.
META = ((16, 32, 32, 8), (8, 64, 64, 8), (16, 64, 64, 8), (8, 128, 128, 16))
# Side, maps, filters, volume channels: the paper's small, residual (of two) and medium (two).
CONV3D = ((16, 16, 2, 1), (8, 64, 4, 4), (16, 64, 8, 4), (8, 128, 16, 8))
TITLES = {
    "dense": "GroupedDense against a Dense for each group: features, groups, units",
    "head": "The same with PReLU and dropout, as in the paper's heads",
    "meta": "MetaConv2D against a Conv2D, PReLU, norm for each group: side, maps, filters, groups",
    "conv3d": "Conv3dSubstitute against Conv3D: side, maps, filters, volume channels",
    "residual": "cifar_residual_meta against 8 convolutions a block",
}


def cases(backend, quick):
    """The cases of one backend."""
    del backend
    if quick:
        sizes = {"head": DENSE[1:2], "meta": META[1:2], "conv3d": CONV3D[1:2]}
    else:
        sizes = {"dense": SIXTEEN, "head": DENSE, "meta": META, "conv3d": CONV3D}
    rows = [{"part": part, "size": size} for part, group in sizes.items() for size in group]
    return rows if quick else [*rows, {"part": "residual", "size": (32,)}]


def measure(part, size):
    """Seconds of each form, forward and training, and how far their outputs are apart."""
    keras.utils.set_random_seed(0)
    models = _models(part, size)
    difference = None
    if part == "conv3d":
        # The kernels of all forms have one shape, so that they can have one value.
        values = models["Conv3D"].get_weights()
        for model in models.values():
            model.set_weights(values)
    x = _random(*models["ours" if "ours" in models else "auto"].input_shape[1:])
    forward, train = {}, {}
    for name, model in models.items():
        model.compile(keras.optimizers.Adam(1e-4), "mse")
        y = _random(*model.output_shape[1:])
        forward[name] = lambda model=model: model.predict_on_batch(x)
        # The loss comes back as a float, so the step is over when this returns.
        train[name] = lambda model=model, y=y: float(model.train_on_batch(x, y))
    if part == "conv3d":
        outputs = [np.asarray(function()) for function in forward.values()]
        difference = max(float(np.abs(y - outputs[0]).max()) for y in outputs)
    few = part == "residual"
    return {
        "forward": None if few else seconds_in_turns(forward, 200, budget=1),
        "train": seconds_in_turns(train, 3 if few else 100, budget=10 if few else 2),
        "difference": difference,
    }


def _models(part, size):
    """One model for each form of a part, by the name of the form."""
    from training.benchmarks import param_savers_forms as forms

    if part == "residual":
        from keras_recres import models

        ours = models.cifar_net("residual", "meta", input_shape=(*size, *size, 3))
        return {"ours": ours, "separate": forms.with_separate_groups(ours)}
    if part in ("dense", "head"):
        features, groups, units = size
        options = {"activation": "prelu", "dropout": 0.1} if part == "head" else {}
        shape, layers = (features,), forms.dense_forms(groups, units, **options)
    elif part == "meta":
        side, maps, filters, groups = size
        shape, layers = (side, side, maps), forms.meta_forms(filters, groups)
    else:
        side, maps, filters, volume_channels = size
        shape, layers = (side, side, maps), forms.conv3d_forms(filters, volume_channels)
    models = {}
    for name, layer in layers.items():
        inputs = keras.Input(shape)
        models[name] = keras.Model(inputs, layer(forms.Scale()(inputs)))
    return models


def _random(*shape):
    values = np.random.default_rng(0).normal(size=(BATCH, *shape))
    return keras.ops.convert_to_tensor(values.astype("float32"))


def report(rows):
    """Prints a table for each part: milliseconds of each form, and the ratios to the bars."""
    console = Console(width=120)
    for part, title in TITLES.items():
        own = [row for row in rows if row["part"] == part]
        if own:
            console.print(_conv3d_table(title, own) if part == "conv3d" else _table(title, own))


def _table(title, rows):
    """Ours against separate layers; the ratio is above 1 where ours is faster."""
    table = Table(title=f"{title}; batch {BATCH}, ms")
    empty = "empty" in rows[0]["train"]
    headings = ("backend", "size", "", "separate", "ours", "ratio")
    for heading in (*headings, *(("empty call", "ratio beyond it") if empty else ())):
        table.add_column(heading, justify="right")
    for row in rows:
        for what in ("forward", "train"):
            times = row[what]
            if times is None:
                continue
            cells = [f"{1e3 * times['separate']:.2f}", f"{1e3 * times['ours']:.2f}"]
            cells.append(f"{times['separate'] / times['ours']:.2f}")
            if empty:
                beyond = [max(times[form] - times["empty"], 1e-6) for form in ("separate", "ours")]
                cells += [f"{1e3 * times['empty']:.2f}", f"{beyond[0] / beyond[1]:.2f}"]
            table.add_row(row["backend"], _size(row), what, *cells)
    return table


def _conv3d_table(title, rows):
    """Every form, and how far "auto" is from the fastest."""
    forms = list(rows[0]["train"])
    table = Table(title=f"{title}; batch {BATCH}, ms")
    for heading in ("backend", "size", "", *forms, "auto / fastest", "difference"):
        table.add_column(heading, justify="right")
    for row in rows:
        for what in ("forward", "train"):
            times = row[what]
            cells = [f"{1e3 * times[form]:.2f}" for form in forms]
            ratio = times["auto"] / min(times.values())
            difference = f"{row['difference']:.0e}"
            table.add_row(row["backend"], _size(row), what, *cells, f"{ratio:.2f}", difference)
    return table


def _size(row):
    return ", ".join(map(str, row["size"]))
