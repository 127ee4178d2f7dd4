"""T2T-ViT-7 at 224 × 224: images a second, forward and training step, against plain PyTorch.

PyTorch's are `by_hand_torch`, eager and compiled, with the same weights and optimizer and without
dropout, in turns with ours in the process of each backend, from a batch in NumPy to logits in NumPy
or the loss as a float.
"""

import importlib.util

import keras
import numpy as np

from training.benchmarks import by_hand, train
from training.benchmarks.timing import peak_mib, seconds_in_turns
from training.files import markdown_table

BATCH, BUDGET = 8, 60
VIT = {"depth": 7, "drop_path": 0.0, "token_dropout": 0.0}
VIT |= {"first_kernel_size": 7, "first_strides": 4}
OURS, EAGER, COMPILED = "ours", "torch, eager", "torch.compile"
# How far logits may be from ours, in float32.
TOLERANCE = 1e-4


def cases(backend, quick):
    """With and without recurrence, in float32 and mixed bfloat16."""
    del backend
    more = {"side": 64 if quick else 224, "compiled": not quick}
    steps = (1,) if quick else (1, 2)
    policies = ("float32",) if quick else ("float32", "mixed_bfloat16")
    return [{"steps": s, "policy": policy, **more} for s in steps for policy in policies]


def measure(steps, policy, side, compiled):
    """Seconds of a forward pass and of a training step of each form."""
    arguments = {**VIT, "steps": steps, "input_shape": (side, side, 3)}
    model = by_hand.build("t2t_vit", arguments)
    x, y = by_hand.batch_of(model, BATCH)
    weights, want = by_hand.weights_of(model), model.predict_on_batch(x)
    by_form = {}
    if importlib.util.find_spec("torch"):
        from training.benchmarks import by_hand_torch

        how = "t2t_vit", by_hand.arguments_by_hand("t2t_vit", arguments), weights
        for form in by_hand_torch.FORMS[: 1 + (compiled and by_hand_torch.has_compiler())]:
            difference = np.abs(by_hand_torch.Training(*how, form).logits(x) - want).max()
            if difference > TOLERANCE * np.abs(want).max():
                raise ValueError(f"T2T-ViT-7 by hand ({form}) differs from ours by {difference}.")
            by_form[form] = by_hand_torch.Training(*how, form, mixed=policy != "float32")
    keras.config.set_dtype_policy(policy)
    network = train.compiled(by_hand.build("t2t_vit", arguments))
    network.set_weights(model.get_weights())
    forward = {OURS: lambda: network.predict_on_batch(x)}
    forward |= {form: lambda t=t: t.logits(x) for form, t in by_form.items()}
    step = {OURS: lambda: float(network.train_on_batch(x, y))}
    step |= {form: lambda t=t: t.step(x, y) for form, t in by_form.items()}
    named = {"forward": forward, "train": step}
    found = {what: seconds_in_turns(forms, 10, BUDGET) for what, forms in named.items()}
    return {**found, "mib": peak_mib()}


def report(rows):
    """Prints the table."""
    print(markdown(rows))


def markdown(rows):
    """Images a second of ours, and how many times as fast as PyTorch's they are: a table."""
    heads = ["backend", "policy", "steps"]
    for what in ("forward", "training"):
        heads += [what, f"{what} / eager", f"{what} / compiled"]
    lines = []
    for row in rows:
        line = [row["backend"], row["policy"], str(row["steps"])]
        for what in ("forward", "train"):
            ours = row[what][OURS]
            line.append(f"{BATCH / ours:.1f}")
            others = (row[what].get(form) for form in (EAGER, COMPILED))
            line += [f"{other / ours:.2f}" if other else "" for other in others]
        lines.append((*line, f"{row['mib']:.0f}"))
    return "\n".join(markdown_table((*heads, "peak MiB"), lines, words=2))
