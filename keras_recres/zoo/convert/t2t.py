"""The official T2T-ViT checkpoints (PyTorch) as `t2t_vit` models."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_recres.backend.keras_private import print_message
from keras_recres.backend.types import Path
from keras_recres.layers.sinusoid_position import sinusoid_table
from keras_recres.models import t2t_vit as build_t2t_vit
from keras_recres.zoo.convert.state_dict import a_few, check, read_state_dict, to_tensors
from keras_recres.zoo.preprocessing import Preprocessing
from keras_recres.zoo.zoo_model import ZooModel

# What the authors evaluate with; crop and interpolation are those of their default configuration.
IMAGENET = Preprocessing(
    size=(224, 224),
    crop=0.9,
    interpolation="bicubic",
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Args:
        origin: Where the weights came from.
        model: Name of the model they went into.
        counts: How many weights were treated how: "copied", "transposed", "permuted", "permuted
            and transposed".
        parameters: How many numbers they hold.
        sinusoid_error: Largest difference between the checkpoint's position table and the fixed
            sinusoid; the checkpoint's is what the model has.
    """

    origin: str
    model: str
    counts: dict
    parameters: int
    sinusoid_error: float

    def __str__(self):
        treated = ", ".join(f"{count} {how}" for how, count in self.counts.items() if count)
        return (
            f"{self.origin} → {self.model}: {sum(self.counts.values())} weights "
            f"({self.parameters:,} numbers), {treated}; none missing, none left over; position "
            f"table within {self.sinusoid_error:.1e} of the sinusoid."
        )


def t2t_vit(
    path_or_state_dict: Path | Mapping[str, Any],
    depth: int = 7,
    steps: int = 1,
    num_classes: int = 1000,
    verbose: bool = True,
    **arguments: Any,
) -> keras.Model:
    """A `t2t_vit` model with the weights of an official T2T-ViT checkpoint.

    Every name and shape is checked in both directions before a weight is set. Dense kernels are
    transposed. The features of a patch are ordered (channel, row, column) by PyTorch's Unfold and
    (row, column, channel) here, so what reads patches is permuted. With `steps` above 1 the
    weights of block i are those that all its steps share.

    Example:
    >>> model = keras_recres.zoo.convert.t2t_vit(
    ...     "71.7_T2T_ViT_7.pth.tar", depth=7)  # doctest: +SKIP
    71.7_T2T_ViT_7.pth.tar, 'state_dict_ema' → t2t_vit_7: 110 weights (4,310,222 numbers), …

    Args:
        path_or_state_dict: Path of a `.pth` or `.pth.tar` file, which needs PyTorch to be read,
            or a dict of arrays or tensors by their official names.
        depth: Integer ≥ 1, blocks in the checkpoint.
        steps: Integer ≥ 1 or a list of one per block: how often the model runs each block.
        num_classes: Integer ≥ 1, classes in the checkpoint.
        verbose: Whether to print the report.
        **arguments: Further arguments of `models.t2t_vit`, which the checkpoint must fit, such as
            `token_type="transformer"`, or `embed_dim=384, num_heads=6, mlp_ratio=3.0`.

    Returns:
        A keras.Model of any backend. Its `conversion_report` is the `ConversionReport`, and its
        `preprocess` the authors' `Preprocessing` for ImageNet at its input's size. Of another
        number of classes than 1000 or of channels than 3 nothing says what it was trained on: then
        it has none, until you set it. A `.keras` file keeps it.

    Raises:
        ValueError: If the checkpoint does not fit; the sentence names what differs.
        ImportError: If a file is to be read and PyTorch is not installed.
    """
    state, origin = read_state_dict(path_or_state_dict)
    blocks = len({match[1] for key in state if (match := re.match(r"blocks\.(\d+)\.", key))})
    if blocks != depth:
        raise ValueError(
            f"`depth` is {depth}, but {origin} has {blocks} blocks"
            + (f": pass depth={blocks}." if blocks else ": it is not a T2T-ViT checkpoint.")
        )
    model = build_t2t_vit(depth, steps, num_classes=num_classes, **arguments)
    rules = list(_rules(model))
    if not any(rule.key.startswith("head.") for rule in rules):
        # features_only: the model has no head for the checkpoint's.
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
    check(
        state,
        {rule.key: (rule.shape,) for rule in rules},
        origin,
        "pass the arguments of `t2t_vit` with which the checkpoint was trained.",
    )
    counts = dict.fromkeys(("copied", "transposed", "permuted", "permuted and transposed"), 0)
    for rule in rules:
        rule.variable.assign(rule.convert(state[rule.key]))
        counts[rule.treatment] += 1
    _fill_steps(model)
    model.conversion_report = ConversionReport(
        origin=origin,
        model=model.name,
        counts=counts,
        parameters=sum(rule.size for rule in rules),
        sinusoid_error=_sinusoid_error(state["pos_embed"]),
    )
    model.__class__ = ZooModel  # Which saves it; it is functional as before.
    if num_classes == 1000 and model.input_shape[-1] == 3:
        model.preprocess = IMAGENET.for_input_shape(model.input_shape[1:])
    if verbose:
        print_message(model.conversion_report)
    return model


def to_torch(model: keras.Model) -> dict:
    """The weights of a `t2t_vit` model as the official PyTorch network names and shapes them.

    The inverse of `t2t_vit`, to the bit: what is trained here goes on there. How often blocks run
    is lost, since no weight says it.

    Example:
    >>> state = keras_recres.zoo.convert.to_torch(keras_recres.zoo.load("vit7"))
    >>> torch.save({"state_dict_ema": state}, "vit7.pth.tar")  # doctest: +SKIP

    Args:
        model: A model of `models.t2t_vit`, on any backend, also without a head.

    Returns:
        A dict of CPU tensors of PyTorch by their official names.

    Raises:
        ValueError: If it is another network, or has weights that the official one has no place
            for: those of single steps (`unshare`) that differ, `step_embedding`, `residual_scale`.
        ImportError: If PyTorch is not installed.
    """
    try:
        rules = list(_rules(model))
    except (ValueError, AttributeError):
        raise ValueError(
            f"{model.name!r} has no PyTorch form: only models of `models.t2t_vit` are converted."
        ) from None
    blocks = _blocks(model)
    known = {rule.variable.path for rule in rules}
    for layer in blocks:
        for variables in layer.own_per_step:
            first, *others = map(keras.ops.convert_to_numpy, variables)
            if all(np.array_equal(first, other) for other in others):
                known |= {variable.path for variable in variables}
    if left := [v.path for v in model.weights if v.path not in known and "seed" not in v.name]:
        raise ValueError(
            f"{model.name!r} has weights that the official network has no place for "
            f"({a_few(left)}): what steps of a block do not share cannot be converted."
        )
    return to_tensors({rule.key: rule.invert() for rule in rules})


@dataclasses.dataclass(frozen=True)
class _Rule:
    """One weight: its official name, ours, and how the first becomes the second."""

    key: str
    variable: object
    transpose: bool = False
    patch: tuple = ()  # (channels, kernel_size): the last official axis is a flat patch.
    leading: int = 0  # Axes of length 1 which the official weight has in front.

    @property
    def treatment(self):
        if not self.patch:
            return "transposed" if self.transpose else "copied"
        return "permuted and transposed" if self.transpose else "permuted"

    @property
    def shape(self):
        shape = tuple(self.variable.shape)
        return (1,) * self.leading + (shape[::-1] if self.transpose else shape)

    @property
    def size(self):
        return int(np.prod(self.shape))

    def convert(self, array):
        array = array.reshape(self.shape[self.leading :])
        if self.patch:
            array = _from_unfold(array, *self.patch)
        return array.T if self.transpose else array

    def invert(self):
        """The official weight, of ours."""
        array = keras.ops.convert_to_numpy(self.variable)
        array = array.T if self.transpose else array
        if self.patch:
            array = _to_unfold(array, *self.patch)
        return np.ascontiguousarray(array.reshape(self.shape))


def _from_unfold(array, channels, kernel_size):
    """The last axis from (channel, row, column) order to (row, column, channel)."""
    leading = array.shape[:-1]
    patches = array.reshape(*leading, channels, kernel_size, kernel_size)
    return np.moveaxis(patches, -3, -1).reshape(*leading, -1)


def _to_unfold(array, channels, kernel_size):
    """The last axis from (row, column, channel) order to (channel, row, column)."""
    leading = array.shape[:-1]
    patches = array.reshape(*leading, kernel_size, kernel_size, channels)
    return np.moveaxis(patches, -1, -3).reshape(*leading, -1)


def _rules(model):
    yield _Rule("cls_token", model.get_layer("class_token").token)
    yield _Rule("pos_embed", model.get_layer("position").positions, leading=1)
    t2t = model.get_layer("tokens_to_token")
    channels = model.input_shape[-1]
    patches = (
        (channels, t2t.first_kernel_size),
        (t2t.token_dim, t2t.split2.kernel_size),
        (t2t.token_dim, t2t.split3.kernel_size),
    )
    for i, tokens in enumerate((t2t.tokens1, t2t.tokens2)):
        prefix = f"tokens_to_token.attention{i + 1}"
        if t2t.token_type == "performer":
            yield _Rule(f"{prefix}.w", tokens.random_features)
            projection, inner, mlp = (f"{prefix}.kqv", tokens.kqv), prefix, ("0", "2")
        else:
            projection, mlp = (f"{prefix}.attn.qkv", tokens.qkv), ("fc1", "fc2")
            inner = f"{prefix}.attn"
        yield from _norm(f"{prefix}.norm1", tokens.norm1, patches[i])
        yield from _dense(*projection, patches[i])
        yield from _dense(f"{inner}.proj", tokens.attention_output)
        yield from _norm(f"{prefix}.norm2", tokens.norm2)
        yield from _dense(f"{prefix}.mlp.{mlp[0]}", tokens.mlp_hidden)
        yield from _dense(f"{prefix}.mlp.{mlp[1]}", tokens.mlp_output)
    yield from _dense("tokens_to_token.project", t2t.project, patches[2])
    for i, layer in enumerate(_blocks(model)):
        block = layer.branch
        yield from _norm(f"blocks.{i}.norm1", block.norm1)
        yield from _dense(f"blocks.{i}.attn.qkv", block.qkv)
        yield from _dense(f"blocks.{i}.attn.proj", block.attention_output)
        yield from _norm(f"blocks.{i}.norm2", block.norm2)
        yield from _dense(f"blocks.{i}.mlp.fc1", block.mlp_hidden)
        yield from _dense(f"blocks.{i}.mlp.fc2", block.mlp_output)
    yield from _norm("norm", model.get_layer("norm"))
    heads = [layer for layer in model.layers if layer.name == "head"]
    for head in heads:
        yield from _dense("head", head)


def _blocks(model):
    return [layer for layer in model.layers if re.fullmatch(r"block\d+", layer.name)]


def _norm(key, layer, patch=()):
    yield _Rule(f"{key}.weight", layer.gamma, patch=patch)
    yield _Rule(f"{key}.bias", layer.beta, patch=patch)


def _dense(key, layer, patch=()):
    yield _Rule(f"{key}.weight", layer.kernel, transpose=True, patch=patch)
    if layer.use_bias:
        yield _Rule(f"{key}.bias", layer.bias)


def _fill_steps(model):
    """Gives what steps do not share (`unshare`) the checkpoint's values in every step."""
    for layer in _blocks(model):
        for first, *others in layer.own_per_step:
            # Through NumPy: two variables of one JAX buffer cannot be donated to a train step.
            value = keras.ops.convert_to_numpy(first)
            for other in others:
                other.assign(value)


def _sinusoid_error(table):
    return float(np.abs(table[0] - sinusoid_table(*table.shape[1:])).max())
