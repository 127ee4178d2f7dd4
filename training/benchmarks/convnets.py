"""Convolutional networks: forward and training step, against the same layers in plain PyTorch.

Ours are `predict_on_batch` and `train_on_batch`, compiled as `training.fit` compiles networks with
convolutions; PyTorch's are a module of torch.nn with the weights of ours, whose logits must be
ours before anything is timed: eager, eager with channels last in memory, and compiled. All are
timed in turns in one process, from a batch in NumPy to logits in NumPy or the loss as a float, with
AdamW, one thread an operation. `torch.compile` takes minutes, so it is timed in PyTorch's own
process alone. Without a GPU seconds are the processor's, to which other work adds less.
"""

import functools
import importlib.util
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from training import provenance
from training.benchmarks import by_hand
from training.benchmarks.timing import one_thread_an_operation, seconds_in_turns
from training.files import markdown_table

# Name: side, and batch size.
NETWORKS = {
    "resnet50": (224, 8),
    "googlenet": (224, 8),
    "inception_v3": (299, 4),
    "preact_resnet164": (32, 32),
}
# With --quick: the smallest sides that the networks take, or nearly.
QUICK_SIDES = {"resnet50": 64, "googlenet": 96, "inception_v3": 96, "preact_resnet164": 8}
EAGER, LAST, COMPILED = "torch, eager", "torch, channels last", "torch.compile"
# How far logits may be from ours, in their standard deviations.
TOLERANCE = 1e-3


def cases(backend, quick):
    """The cases of one backend."""
    return [
        {
            "network": name,
            "what": what,
            "side": QUICK_SIDES[name] if quick else side,
            "batch": 2 if quick else batch,
            "budget": 4.0 if quick else 30.0,
            "compile": backend == "torch" and not quick,
        }
        for name, (side, batch) in NETWORKS.items()
        for what in ("forward", "train")
    ]


def build(network, side):
    """A network with logits, without auxiliary classifiers."""
    from keras_recres import models

    options = {"weights": None, "input_shape": (side, side, 3), "classifier_activation": None}
    if network == "resnet50":
        return keras.applications.ResNet50(**options)
    if network == "inception_v3":
        return keras.applications.InceptionV3(**options)
    if network == "googlenet":
        return models.googlenet(auxiliary=False, input_shape=(side, side, 3))
    return models.preact_resnet(164, input_shape=(side, side, 3))


def measure(network, what, side, batch, budget, compile):
    """Seconds of a forward pass or a training step of ours and of PyTorch's forms."""
    from training.fit import models

    one_thread_an_operation()  # Before TensorFlow knows its devices.
    gpu = provenance.has_accelerator()
    keras.utils.set_random_seed(0)
    model = build(network, side)
    x, y = by_hand.batch_of(model, batch)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit_compile = models.jit_compile(convolutions=True)
    model.compile(by_hand.optimizer(), loss, jit_compile=jit_compile)
    forms, failed, difference = {}, {}, None
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        forms, failed, difference = forms_of(model, what, x, y, compile)
    if what == "forward":
        forms["ours"] = lambda: model.predict_on_batch(x)
    else:
        forms["ours"] = lambda: float(model.train_on_batch(x, y))
    clock = time.perf_counter if gpu else time.process_time
    seconds = seconds_in_turns(forms, 20, budget, clock)
    return {"seconds": seconds, "failed": failed, "difference": difference, "gpu": gpu}


def forms_of(model, what, x, y, compile):
    """{form: function}, {form: why there is none}, and how far PyTorch's logits are from ours."""
    import torch

    from training.benchmarks.by_hand_torch import has_compiler
    from training.benchmarks.plain_torch import plain_module

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def step(run, optimizer, memory_format):
        images = torch.from_numpy(first).to(device, memory_format=memory_format)
        if what == "forward":
            with torch.inference_mode():
                return run(images).cpu().numpy()
        optimizer.zero_grad()
        logits = run(images)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y).to(device))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    ours = np.asarray(model.predict_on_batch(x), "float64")
    forms, failed, difference = {}, {}, 0.0
    for form in (EAGER, LAST, COMPILED):
        if form == COMPILED and not (compile and has_compiler()):
            failed[form] = "there is no compiler" if compile else "only in PyTorch's whole runs"
            continue
        last = form == LAST
        memory_format = torch.channels_last if last else torch.contiguous_format
        module = plain_module(model).to(device, memory_format=memory_format)
        with torch.no_grad():
            theirs = module.eval()(torch.from_numpy(first).to(device)).cpu().numpy()
        difference = max(difference, float(np.abs(theirs - ours).max() / ours.std()))
        if not difference < TOLERANCE:
            raise ValueError(
                f"{model.name} in plain PyTorch has logits of its own, {difference:.1e} of their "
                f"standard deviation from ours, more than {TOLERANCE:.0e}."
            )
        module.train(what == "train")
        trained = [p for p in module.parameters() if p.requires_grad]
        settings = dict(by_hand.OPTIMIZER)
        optimizer = torch.optim.AdamW(
            trained,
            lr=settings["learning_rate"],
            betas=(settings["beta_1"], settings["beta_2"]),
            eps=settings["epsilon"],
            weight_decay=settings["weight_decay"],
            fused=True,
        )
        run = torch.compile(module) if form == COMPILED else module
        function = functools.partial(step, run, optimizer, memory_format)
        if form == COMPILED:
            try:
                function()
            except RuntimeError as error:
                # A C++ compiler that is there need not be one that PyTorch can use.
                failed[form] = str(error).splitlines()[0]
                continue
        forms[form] = function
    return forms, failed, difference


HEAD = (
    *("network", "what", "side", "batch", "backend", "ours", "eager", "channels last"),
    *("compiled", "ours / eager", "ours / compiled"),
)


def report(rows):
    """Prints images a second, and how many times as fast as PyTorch ours are."""
    table = Table(title=f"{_unit(rows)}; ratios are above 1 where ours are faster")
    for heading in HEAD:
        table.add_column(heading, justify="right")
    for cells in _cells(rows):
        table.add_row(*cells)
    Console(width=140).print(table)
    whole = {row["failed"].get(COMPILED) for row in rows if row["backend"] == "torch"}
    for why in whole - {None}:
        print(f"torch.compile was left out: {why}")


def markdown(rows):
    """The same as a table of a page."""
    lines = [(f"`{name}`", *rest) for name, *rest in _cells(rows)]
    table = "\n".join(markdown_table(HEAD, lines, words=2))
    return f"{_unit(rows)}; ratios are above 1 where ours are faster:\n\n{table}"


def _unit(rows):
    gpu = all(row["gpu"] for row in rows)
    return "Images a second" if gpu else "Images a second of a processor, one thread an operation"


def _cells(rows):
    """A line for each row."""
    # Of the same run, though not of the same process.
    compiled = {
        (row["network"], row["what"], row["side"], row["batch"]): row["seconds"][COMPILED]
        for row in rows
        if COMPILED in row["seconds"]
    }
    for row in rows:
        seconds, names = dict(row["seconds"]), ("network", "what", "side", "batch")
        seconds.setdefault(COMPILED, compiled.get(tuple(row[name] for name in names)))
        ours = seconds["ours"]
        rates = [
            f"{row['batch'] / seconds[form]:.1f}" if seconds.get(form) else ""
            for form in ("ours", EAGER, LAST, COMPILED)
        ]
        ratios = [
            f"{seconds[form] / ours:.2f}" if seconds.get(form) else "" for form in (EAGER, COMPILED)
        ]
        yield (*(str(row[name]) for name in (*names, "backend")), *rates, *ratios)
