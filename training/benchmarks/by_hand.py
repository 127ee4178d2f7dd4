"""What ours and the networks written by hand have in common: size, weights, batch, optimizer."""

import keras
import numpy as np
from keras import ops

# Of Keras, PyTorch and JAX alike; every weight decays.
OPTIMIZER = {
    "learning_rate": 1e-4,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-7,
    "weight_decay": 0.01,
}
# How far loss and gradients may be from ours, relatively, in float32.
TOLERANCE = 1e-5

# As in the zoo for 64 × 64 images, but without dropout, of which every library draws another one.
VIT = {
    "depth": 7,
    "input_shape": (64, 64, 3),
    "num_classes": 80,
    "first_kernel_size": 3,
    "first_strides": 2,
    "drop_path": 0.0,
    "token_dropout": 0.0,
}
# Name: kind, arguments of our builder, batch size.
NETWORKS = {
    "T2T-ViT-7": ("t2t_vit", {**VIT, "steps": 1}, 32),
    "T2T-ViT-7, 2 steps": ("t2t_vit", {**VIT, "steps": 2}, 32),
    "tanh FRN, 50 layers": ("frn", {"depth": 50, "width": 64, "sigma_w_sq": 0.1}, 128),
}


def build(kind, arguments):
    """Our network."""
    from keras_recres import models

    return models.t2t_vit(**arguments) if kind == "t2t_vit" else models.mean_field_net(**arguments)


def arguments_by_hand(kind, arguments):
    """What those written by hand cannot read off the shapes of their weights."""
    if kind == "frn":
        return {"depth": arguments["depth"]}
    return {
        "depth": arguments["depth"],
        "steps": arguments["steps"],
        "heads": arguments.get("num_heads", 4),
        "first_split": (arguments["first_kernel_size"], arguments["first_strides"]),
    }


def optimizer():
    """AdamW in Keras."""
    return keras.optimizers.AdamW(**OPTIMIZER)


def batch_of(model, size):
    """The same images and labels in every run."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(size, *model.input_shape[1:])).astype("float32")
    return images, rng.integers(0, model.output_shape[-1], size)


def weights_of(model):
    """{path: array} of all weights."""
    return {w.path: ops.convert_to_numpy(w.value) for w in model.weights}


def loss_and_gradients(model, x, y):
    """Our loss, and {path: its gradient} as arrays."""
    from keras_recres import backend
    from keras_recres.backend import probe

    variables = model.trainable_variables

    def loss(*values):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            logits = model(x, training=True)
        return ops.mean(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))

    def both(values):
        return loss(*values), backend.gradients(loss, values)

    value, gradients = probe.compiled(both)(backend.raw_values(variables))
    arrays = map(ops.convert_to_numpy, gradients)
    return float(value), dict(zip((v.path for v in variables), arrays, strict=True))


def difference(ours, theirs):
    """How far loss and gradients are from one another: the largest of the relative differences.

    Args:
        ours: pair of the loss and {path: gradient}.
        theirs: the same of another network, with the same paths.

    Returns:
        The larger of |L − L'| / |L| and max ‖g − g'‖ / ‖g‖, the latter over the paths.
    """
    if ours[1].keys() != theirs[1].keys():
        raise ValueError(f"`theirs` lacks {sorted(ours[1].keys() ^ theirs[1].keys())}.")
    found = [abs(ours[0] - theirs[0]) / abs(ours[0])]
    for path, gradient in ours[1].items():
        wide = np.asarray(gradient, "float64")
        found.append(np.linalg.norm(wide - theirs[1][path]) / np.linalg.norm(wide))
    return float(max(found))
