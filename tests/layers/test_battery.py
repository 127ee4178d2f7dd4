"""One battery for every public layer: a layer added to `keras_recres.layers` needs a case here.

A case is built once, with weights of which none is 0 or 1, and serves all tests of numbers.
"""

import inspect
import json
import types

import keras
import numpy as np
import pytest
from keras import ops
from keras.src import testing

from keras_recres import layers, models
from keras_recres.backend import keras_private
from keras_recres.layers.checks import takes_numpy
from tests.gradients import computed
from tests.marks import slow_on, slow_on_tensorflow

BACKEND = keras.backend.backend()


def dense_branch(units=4):
    return keras.Sequential(
        [keras.layers.LayerNormalization(), keras.layers.Dense(units, activation="tanh")]
    )


# Class → cases: a function that gives constructor arguments, input shape, output shape.
CASES = {
    "FRN": [
        (lambda: {"units": 4}, (2, 4), (2, 4)),
        (
            lambda: {
                "units": 4,
                "activation": layers.AlphaReLU(0.75, learnable=True),
                "sigma_w_sq": 0.5,
                "sigma_v_sq": 0.7,
                "sigma_b_sq": 0.1,
                "sigma_a_sq": 0.2,
                "hidden_units": 6,
                "projection_initializer": "he_normal",
            },
            (2, 3, 4),
            (2, 3, 4),
        ),
    ],
    "RRN": [
        (lambda: {"units": 4}, (2, 4), (2, 4)),
        (
            lambda: {"units": 5, "activation": "relu", "sigma_w_sq": 0.0, "use_bias": False},
            (2, 3, 5),
            (2, 3, 5),
        ),
    ],
    "AlphaReLU": [
        (lambda: {"alpha": 0.75}, (2, 3, 4), (2, 3, 4)),
        (lambda: {"alpha": 0.5, "learnable": True, "max_slope": 10.0}, (2, 5), (2, 5)),
    ],
    "ArrayLSTMCell": [
        (lambda: {"units": 4, "lanes": 2, "select": "attention"}, (2, 5, 3), (2, 4)),
        (
            lambda: {
                "units": 4,
                "lanes": 3,
                "select": "stochastic",
                "use_bias": False,
                "dropout": 0.1,
                "seed": 1,
            },
            (2, 5, 3),
            (2, 4),
        ),
    ],
    "AttentionWindow": [
        (lambda: {"radius": 2, "score": "additive"}, (2, 5, 4), (2, 5, 4)),
        (lambda: {"radius": 1, "edges": "renormalise"}, (2, 5, 4), (2, 5, 4)),
    ],
    "BatchNormalization": [
        (dict, (2, 5, 4, 3), (2, 5, 4, 3)),
        (lambda: {"epsilon": 1e-5, "momentum": 0.9, "center": False}, (2, 4), (2, 4)),
        (lambda: {"axis": 1, "scale": False, "beta_initializer": "ones"}, (2, 5, 4), (2, 5, 4)),
    ],
    "CCell": [
        (lambda: {"window": 3, "padding": 1}, (2, 6, 5, 3), (2, 6, 5, 3)),
        (lambda: {"window": None, "alpha": 0.2}, (2, 4, 3, 3), (2, 1, 1, 3)),
    ],
    "CeilMaxPooling2D": [
        (lambda: {"pool_size": 3, "strides": 2}, (2, 6, 5, 3), (2, 3, 2, 3)),
        (lambda: {"pool_size": (3, 4), "strides": 1, "padding": 1}, (2, 6, 5, 3), (2, 6, 4, 3)),
    ],
    "ClassToken": [(dict, (2, 5, 4), (2, 6, 4))],
    "Conv3dSubstitute": [
        (
            lambda: {"filters": 3, "kernel_size": 3, "volume_channels": 2},
            (2, 6, 5, 8),
            (2, 6, 5, 12),
        ),
        (
            lambda: {"filters": 3, "kernel_size": (3, 2, 1), "padding": "valid_depth"},
            (2, 4, 5, 6),
            (2, 4, 5, 12),
        ),
        (
            lambda: {
                "filters": 4,
                "kernel_size": 3,
                "volume_channels": 2,
                "unfold": False,
                "form": "conv3d",
            },
            (2, 6, 5, 6),
            (2, 3, 6, 5, 4),
        ),
        (
            lambda: {"filters": 2, "kernel_size": 3, "volume_channels": 2, "form": "planes"},
            (2, 6, 5, 6),
            (2, 6, 5, 6),
        ),
        (
            lambda: {"filters": 2, "kernel_size": 3, "strides": 2, "activation": "relu"},
            (2, 7, 5, 4),
            (2, 4, 3, 8),
        ),
    ],
    "DepthGatedLSTMCell": [
        (lambda: {"units": 3, "depth": 2}, (2, 4, 3), (2, 3)),
        (
            lambda: {
                "units": 3,
                "depth": 2,
                "input_memory": True,
                "use_bias": False,
                "peephole_initializer": "ones",
                "dropout": 0.1,
                "recurrent_dropout": 0.1,
                "seed": 1,
            },
            (2, 4, 2),
            (2, 3),
        ),
    ],
    "GridLSTMCell": [
        (
            lambda: {
                "units": 4,
                "depth": 2,
                "tied": True,
                "priority": False,
                "output": "tanh_om",
                "recurrent_dropout": 0.1,
            },
            (2, 5, 3),
            (2, 4),
        ),
    ],
    "GroupedDense": [
        (
            lambda: {"units": 5, "groups": 3, "activation": "prelu", "dropout": 0.1},
            (2, 12),
            (2, 5, 3),
        ),
        (
            lambda: {"units": 2, "groups": 2, "activation": "tanh", "use_bias": False},
            (2, 3, 8),
            (2, 3, 2, 2),
        ),
    ],
    "Highway": [
        (lambda: {"transform": keras.layers.Dense(4, "tanh")}, (2, 3, 4), (2, 3, 4)),
        (
            lambda: {
                "transform": keras.layers.Conv2D(3, 3, padding="same", use_bias=False),
                "gate": keras.layers.Conv2D(3, 1, activation="sigmoid"),
            },
            (2, 5, 4, 3),
            (2, 5, 4, 3),
        ),
        (lambda: {"transform": dense_branch(), "gate_bias": -1}, (2, 4), (2, 4)),
    ],
    "JordanCell": [
        (lambda: {"units": 4, "output_units": 2}, (2, 5, 3), (2, 2)),
        (
            lambda: {"units": 4, "output_units": 2, "output_activation": "tanh", "decay": 0.5},
            (2, 5, 3),
            (2, 2),
        ),
    ],
    "LayerNormalization": [
        (dict, (2, 5, 4), (2, 5, 4)),
        (lambda: {"axis": (1, 2), "epsilon": 1e-5}, (2, 5, 4), (2, 5, 4)),
        (lambda: {"axis": 2, "scale": False, "beta_initializer": "ones"}, (2, 5, 4), (2, 5, 4)),
    ],
    "LocalResponseNormalization": [
        (lambda: {"alpha": 0.5}, (2, 5, 4, 3), (2, 5, 4, 3)),
        (
            lambda: {"size": 3, "bias": 1, "alpha": 0.5, "beta": 0.5, "average": True},
            (2, 4, 7),
            (2, 4, 7),
        ),
    ],
    "MetaConv2D": [
        (lambda: {"filters": 8, "kernel_size": 3, "groups": 4}, (2, 6, 5, 4), (2, 6, 5, 8)),
        (
            lambda: {
                "filters": 6,
                "kernel_size": (3, 2),
                "groups": 2,
                "meta_groups": 4,
                "strides": 2,
                "padding": "valid",
                "activation": "tanh",
                "meta_activation": None,
                "softmax": True,
                "batch_norm": False,
                "pool_size": 2,
                "flatten": False,
                "use_bias": False,
                "form": "separate",
            },
            (2, 11, 10, 4),
            (2, 2, 2, 4, 3),
        ),
    ],
    "MetaDense": [
        (lambda: {"units": 5, "groups": 3, "dropout": 0.1}, (2, 12), (2, 15)),
        (
            lambda: {
                "units": 2,
                "groups": 2,
                "meta_groups": 3,
                "activation": "relu",
                "meta_activation": None,
                "softmax": True,
            },
            (2, 3, 8),
            (2, 3, 6),
        ),
    ],
    "MetaLayer": [
        (lambda: {"groups": 5}, (2, 3, 4), (2, 3, 5)),
        (lambda: {"groups": 2, "axis": 1, "softmax": True}, (2, 3, 4, 5), (2, 2, 4, 5)),
    ],
    "PartialConv2D": [
        (
            lambda: {"table": [(0, 2), (1,), (0, 1, 2)], "kernel_size": 3},
            (2, 6, 5, 3),
            (2, 4, 3, 3),
        ),
        (
            lambda: {
                "table": [(1,), (0, 1)],
                "kernel_size": (3, 2),
                "padding": "same",
                "activation": "tanh",
            },
            (2, 5, 4, 3),
            (2, 5, 4, 2),
        ),
    ],
    "PeepholeConvLSTM2D": [
        (lambda: {"filters": 3, "kernel_size": 3}, (2, 3, 4, 5, 2), (2, 4, 5, 3)),
        (
            lambda: {
                "filters": 2,
                "kernel_size": (3, 1),
                "recurrent_kernel_size": 1,
                "peephole": "map",
                "return_sequences": True,
                "unit_forget_bias": False,
            },
            (2, 3, 4, 3, 2),
            (2, 3, 4, 3, 2),
        ),
    ],
    "PeepholeLSTMCell": [
        (lambda: {"units": 4}, (2, 5, 3), (2, 4)),
        (
            lambda: {
                "units": 4,
                "activation": "relu",
                "use_bias": False,
                "peephole_initializer": "ones",
                "recurrent_dropout": 0.1,
            },
            (2, 5, 3),
            (2, 4),
        ),
    ],
    "RBFOutput": [
        (lambda: {"codes": [[1.0, -1.0, 1.0], [-1.0, 1.0, 0.5]]}, (2, 3), (2, 2)),
    ],
    "RandomizedReLU": [(dict, (2, 5, 4), (2, 5, 4))],
    "Recurrent": [
        (lambda: {"cell": keras.layers.SimpleRNNCell(4)}, (2, 5, 3), (2, 4)),
        (
            lambda: {
                "cell": [keras.layers.LSTMCell(4), keras.layers.GRUCell(3)],
                "return_sequences": True,
                "go_backwards": True,
                "truncate": 2,
                "loop": "scan",
            },
            (2, 5, 3),
            (2, 5, 3),
        ),
    ],
    "RecurrentResidual": [
        (lambda: {"branch": keras.layers.Dense(4), "steps": 3}, (2, 4), (2, 4)),
        (lambda: {"branch": dense_branch(), "steps": 6, "loop": "scan"}, (2, 3, 4), (2, 3, 4)),
        (
            lambda: {
                "branch": dense_branch(),
                "steps": 3,
                "unshare": ("norm",),
                "residual_scale": "learned",
                "step_embedding": True,
                "inject_input": "concat",
                "backprop_steps": 2,
            },
            (2, 4),
            (2, 4),
        ),
        (
            lambda: {
                "branch": keras.layers.Conv2D(4, 3, padding="same"),
                "steps": 2,
                "residual_scale": 0.5,
                "remat": True,
                "return_states": True,
            },
            (2, 5, 5, 4),
            (2, 2, 5, 5, 4),
        ),
    ],
    "SCell": [
        (lambda: {"planes": 3, "window": 3, "padding": 1}, (2, 6, 5, 2), (2, 6, 5, 3)),
        (lambda: {"planes": 2, "window": 3, "padding": -1}, (2, 6, 7, 2), (2, 2, 3, 2)),
    ],
    "SinusoidPosition": [(dict, (2, 5, 4), (2, 5, 4))],
    "SoftSplit": [
        (lambda: {"kernel_size": 3, "strides": 2, "padding": 1}, (2, 8, 6, 5), (2, 12, 45)),
        (lambda: {"kernel_size": 7, "strides": 4, "padding": 2}, (2, 16, 16, 3), (2, 16, 147)),
    ],
    "TokenPerformer": [(lambda: {"units": 8}, (2, 6, 5), (2, 6, 8))],
    "TokenTransformer": [(lambda: {"units": 8}, (2, 6, 5), (2, 6, 8))],
    "TokensToToken": [
        (lambda: {"units": 16, "token_dim": 8}, (2, 32, 32, 3), (2, 4, 16)),
        (
            lambda: {"units": 16, "token_dim": 8, "token_type": "transformer"},
            (2, 32, 32, 3),
            (2, 4, 16),
        ),
    ],
    "TrainableSubsampling2D": [
        (dict, (2, 6, 5, 3), (2, 3, 2, 3)),
        (lambda: {"pool_size": (1, 2), "activation": "tanh"}, (2, 4, 5, 3), (2, 4, 2, 3)),
    ],
    "TransformerBlock": [
        (lambda: {"num_heads": 2}, (2, 5, 8), (2, 5, 8)),
        (lambda: {"num_heads": 2, "drop_path": 0.1, "dropout": 0.1}, (2, 5, 8), (2, 5, 8)),
    ],
    "TreeNet": [
        (lambda: {"units": 4, "tensor": True}, (2, 3, 4), (2, 5, 4)),
        (lambda: {"units": 4, "activation": "relu", "use_bias": False}, (2, 1, 4), (2, 1, 4)),
    ],
}
# Class → wrong arguments: what is changed in the first of its cases, an input shape if it is the
# shape that is wrong, and what the one sentence must name: the argument and what came.
WRONG = {
    "FRN": [
        ({"units": 0}, None, "`units`", "0"),
        ({"sigma_v_sq": -1.0}, None, "`sigma_v_sq`", "-1.0"),
        ({"sigma_a_sq": "1"}, None, "`sigma_a_sq`", "'1'"),
        ({"hidden_units": 2.5}, None, "`hidden_units`", "2.5"),
        ({}, (2, 5), "`units`", "4", "(2, 5)"),
    ],
    "RRN": [
        ({"sigma_w_sq": float("nan")}, None, "`sigma_w_sq`", "nan"),
        ({"sigma_b_sq": -0.1}, None, "`sigma_b_sq`", "-0.1"),
        ({}, (4,), "`units`", "(4,)"),
    ],
    "AlphaReLU": [
        ({"alpha": 0}, None, "`alpha`", "0", "(0, 1]"),
        ({"alpha": 1.5}, None, "`alpha`", "1.5"),
        ({"alpha": 0.001, "learnable": True}, None, "`alpha`", "0.001"),
        ({"max_slope": 1}, None, "`max_slope`", "1"),
    ],
    "ArrayLSTMCell": [
        ({"units": "4"}, None, "`units`", "'4'"),
        ({"lanes": 0}, None, "`lanes`", "0"),
        ({"select": "pooled"}, None, "`select`", "'pooled'", "'pool'"),
    ],
    "AttentionWindow": [
        ({"radius": 0}, None, "`radius`", "0"),
        ({"score": "cosine"}, None, "`score`", "'cosine'", "'dot'"),
        ({"edges": "circle"}, None, "`edges`", "'circle'", "'renormalise'"),
        ({}, (2, 4), "(batch, tokens, features)", "(2, 4)"),
    ],
    "BatchNormalization": [
        ({"epsilon": 0}, None, "`epsilon`", "0"),
        ({"epsilon": "tiny"}, None, "`epsilon`", "'tiny'"),
    ],
    "CCell": [
        ({"window": 0}, None, "`window`", "0"),
        ({"alpha": 0}, None, "`alpha`", "0"),
        ({"padding": 0.5}, None, "`padding`", "0.5"),
        ({"window": None}, (2, None, 5, 3), "(2, None, 5, 3)"),
        ({"padding": -2}, (2, 6, 6, 3), "at least 7", "(2, 6, 6, 3)"),
    ],
    "CeilMaxPooling2D": [
        ({"pool_size": 0}, None, "`pool_size`", "0"),
        ({"strides": 4}, None, "`strides`", "4", "(3, 3)"),
        ({"padding": 2}, None, "`padding`", "2", "from 0 to 1"),
        ({}, (2, 2, 5, 3), "`pool_size`", "(2, 2, 5, 3)"),
    ],
    "ClassToken": [({}, (2, 4), "(2, 4)"), ({"initializer": "nrmal"}, None, "nrmal")],
    "Conv3dSubstitute": [
        ({"filters": 0}, None, "`filters`", "0"),
        ({"volume_channels": 5}, None, "`volume_channels`", "5", "8"),
        ({"padding": "valid"}, None, "`padding`", "'valid'", "'valid_depth'"),
        ({}, (2, 6, 8), "(2, 6, 8)"),
    ],
    "DepthGatedLSTMCell": [
        ({"units": 0}, None, "`units`", "0"),
        ({"depth": 0}, None, "`depth`", "0"),
        ({"input_memory": 2}, None, "`input_memory`", "2"),
    ],
    "GridLSTMCell": [
        ({"units": 0}, None, "`units`", "0"),
        ({"depth": 1.5}, None, "`depth`", "1.5"),
        ({"tied": "yes"}, None, "`tied`", "'yes'"),
        ({"priority": None}, None, "`priority`", "None"),
        ({"output": "tanh"}, None, "`output`", "'tanh'", "'o_tanh_m'"),
    ],
    "GroupedDense": [
        ({"units": -1}, None, "`units`", "-1"),
        ({"groups": 5}, None, "`groups`", "5", "12"),
        ({"dropout": 1.5}, None, "`dropout`", "1.5"),
    ],
    "Highway": [
        ({"transform": 3}, None, "`transform`", "3"),
        ({"gate": "sigmoid"}, None, "`gate`", "'sigmoid'"),
        ({"gate_bias": None}, None, "`gate_bias`", "None"),
        ({}, (2, 3, 5), "`transform`", "(2, 3, 4)", "(2, 3, 5)"),
    ],
    "JordanCell": [
        ({"units": 0}, None, "`units`", "0"),
        ({"output_units": "2"}, None, "`output_units`", "'2'"),
        ({"decay": 1}, None, "`decay`", "1"),
        ({}, (2, 3), "(batch, time, features)", "(2, 3)"),
    ],
    "LayerNormalization": [
        ({"epsilon": 0}, None, "`epsilon`", "0"),
        ({"epsilon": -1e-3}, None, "`epsilon`", "-0.001"),
    ],
    "LocalResponseNormalization": [
        ({"size": 4}, None, "`size`", "4"),
        ({"bias": 0}, None, "`bias`", "0"),
        ({"average": 1}, None, "`average`", "1"),
    ],
    "MetaConv2D": [
        ({"filters": 9}, None, "`filters`", "9", "4"),
        ({"groups": 4}, (2, 6, 5, 6), "`groups`", "4", "6"),
        ({"form": "best"}, None, "`form`", "'best'", "'grouped'"),
    ],
    "MetaDense": [
        ({"groups": 0}, None, "`groups`", "0"),
        ({"groups": 5}, None, "`groups`", "5", "12"),
    ],
    "MetaLayer": [
        ({"groups": 2.5}, None, "`groups`", "2.5"),
        ({"axis": 3}, None, "`axis`", "3"),
    ],
    "PartialConv2D": [
        ({"table": []}, None, "`table`", "[]"),
        ({"table": [(0, 0)]}, None, "`table`", "[(0, 0)]"),
        ({"table": [(0, -1)]}, None, "`table`", "[(0, -1)]"),
        ({"padding": "full"}, None, "`padding`", "'full'"),
        ({}, (2, 6, 5, 2), "`table`", "2"),
    ],
    "PeepholeConvLSTM2D": [
        ({"filters": 0}, None, "`filters`", "0"),
        ({"kernel_size": (3, 3, 3)}, None, "`kernel_size`", "(3, 3, 3)"),
        ({"recurrent_kernel_size": 0}, None, "`recurrent_kernel_size`", "0"),
        ({"peephole": "pixel"}, None, "`peephole`", "'pixel'", "'map'"),
        ({}, (2, 4, 5, 2), "(batch, steps, height, width, channels)", "(2, 4, 5, 2)"),
    ],
    "PeepholeLSTMCell": [
        ({"units": 2.5}, None, "`units`", "2.5"),
        ({"peephole_initializer": "zeroes"}, None, "zeroes"),
    ],
    "RBFOutput": [
        ({"codes": [1.0, 2.0]}, None, "`codes`", "[1.0, 2.0]"),
        ({}, (2, 4), "`codes`", "3", "4"),
    ],
    "RandomizedReLU": [
        ({"lower": -0.1}, None, "`lower`", "-0.1"),
        ({"lower": 0.5}, None, "`upper`", "0.5"),
    ],
    "Recurrent": [
        ({"cell": 3}, None, "`cell`", "3"),
        ({"cell": []}, None, "`cell`", "[]"),
        ({"stateful": 1}, None, "`stateful`", "1"),
        ({"truncate": 0}, None, "`truncate`", "0"),
        ({"loop": "scn"}, None, "`loop`", "'scn'", "'scan'"),
        ({"stateful": True}, (None, 5, 3), "stateful", "(None, 5, 3)", "batch_size"),
        ({}, (2, 5), "(batch, time, features)", "(2, 5)"),
    ],
    "RecurrentResidual": [
        ({"branch": 3}, None, "`branch`", "3"),
        ({"steps": 0}, None, "`steps`", "0"),
        ({"shortcut": "sum"}, None, "`shortcut`", "'sum'", "'add'"),
        ({"loop": "scn"}, None, "`loop`", "'scn'", "'scan'"),
        ({"residual_scale": "learnt"}, None, "`residual_scale`", "'learnt'", "'learned'"),
        ({"backprop_steps": 0}, None, "`backprop_steps`", "0"),
        ({"exit_threshold": -1.0}, None, "`exit_threshold`", "-1.0"),
        ({"unshare": ("nrom",)}, None, "`unshare`", "'nrom'", "'norm'"),
        ({}, (2, 5), "`branch`", "(2, 5)", "(2, 4)"),
    ],
    "SCell": [
        ({"planes": 0}, None, "`planes`", "0"),
        ({"selectivity": 0}, None, "`selectivity`", "0"),
        ({"rate": -1}, None, "`rate`", "-1"),
        ({"padding": "same"}, None, "`padding`", "'same'"),
        ({}, (2, 4), "(2, 4)"),
    ],
    "SinusoidPosition": [({}, (2, 4), "(2, 4)")],
    "SoftSplit": [
        ({"kernel_size": 0}, None, "`kernel_size`", "0"),
        ({"padding": -1}, None, "`padding`", "-1"),
        ({"padding": 0, "kernel_size": 9}, None, "kernel", "8"),
    ],
    "TokenPerformer": [({"units": 0}, None, "`units`", "0"), ({}, (2, 6), "(2, 6)")],
    "TokenTransformer": [({"units": 0}, None, "`units`", "0"), ({}, (2, 6), "(2, 6)")],
    "TokensToToken": [
        ({"token_dim": 0}, None, "`token_dim`", "0"),
        ({"token_type": "performr"}, None, "`token_type`", "'performr'", "'performer'"),
    ],
    "TrainableSubsampling2D": [
        ({"pool_size": 0}, None, "`pool_size`", "0"),
        ({}, (2, 4), "(2, 4)"),
    ],
    "TransformerBlock": [
        ({"num_heads": 3}, None, "`num_heads`", "3", "8"),
        ({"drop_path": 1.0}, None, "`drop_path`", "1.0"),
    ],
    "TreeNet": [
        ({"units": 0}, None, "`units`", "0"),
        ({"tensor": "yes"}, None, "`tensor`", "'yes'"),
        ({}, (2, 3, 5), "`units` = 4", "(2, 3, 5)"),
        ({}, (2, None, 4), "leaves", "(2, None, 4)"),
    ],
}


def constructor(name, kwargs):
    """A class and its arguments: a layer's own, or of the layer that runs a recurrent cell."""
    kind = getattr(layers, name)
    if "states" not in inspect.signature(kind.call).parameters:
        return kind, kwargs
    of_layer = {key: kwargs.pop(key) for key in ("name",) if key in kwargs}
    return layers.Recurrent, {"cell": kind(**kwargs), **of_layer}


def make(name, kwargs):
    kind, kwargs = constructor(name, kwargs)
    return kind(**kwargs)


# What a case is called → its class and its place among those of the class.
IDS = {f"{name}{i}": (name, i) for name, cases in CASES.items() for i in range(len(cases))}
# The further cases of a class add configs and shapes to Keras' test, which need no other backend.
OWN_TESTS = [
    pytest.param(identity, marks=[pytest.mark.neutral if i else pytest.mark.tensorflow])
    for identity, (_, i) in IDS.items()
]


class KerasTestCase(testing.TestCase):
    __test__ = False

    def runTest(self):
        """unittest wants one."""


def batch(shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def randomise(layer):
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        value = rng.normal(size=weight.shape)
        if "variance" in weight.name or weight.name in ("gamma", "scale"):
            value = 1 + 0.3 * np.tanh(value)
        elif "alpha" in weight.name:
            value = 0.6 + 0.2 * np.tanh(value)
        elif len(weight.shape) > 1:
            value = value / np.sqrt(np.prod(weight.shape[:-1]))
        else:
            value = 0.3 * value
        weight.assign(value)


@pytest.fixture(scope="module", params=IDS)
def case(request):
    """A built layer in a functional model, a batch of two, and what the layer makes of it."""
    name, i = IDS[request.param]
    kwargs, shape, output_shape = CASES[name][i]
    keras.utils.set_random_seed(1234)
    inputs = keras.Input(shape[1:])
    with keras_private.values_given_later():
        layer = make(name, kwargs())
        model = keras.Model(inputs, layer(inputs))
        randomise(layer)
    x = batch(shape)
    return types.SimpleNamespace(
        make=lambda: make(name, kwargs()),
        shape=shape,
        # The states of a recurrence stand in front of the batch.
        axis=1 if len(output_shape) > len(shape) and name == "RecurrentResidual" else 0,
        layer=layer,
        model=model,
        x=x,
        y=computed(layer, x),
        first=i == 0,
    )


def test_every_public_layer_has_a_case():
    assert set(CASES) == set(WRONG) == set(layers.__all__)


@slow_on_tensorflow
@pytest.mark.parametrize("identity", OWN_TESTS)
def test_keras_own_layer_test(identity):
    name, i = IDS[identity]
    kwargs, shape, output_shape = CASES[name][i]
    kind, kwargs = constructor(name, kwargs())
    KerasTestCase().run_layer_test(
        kind,
        init_kwargs=kwargs,
        input_shape=shape,
        expected_output_shape=output_shape,
        # One case of each class: it takes ten times as long as the rest.
        run_training_check=i == 0,
        # Ours below: Keras' is for float16 on a GPU, and here also compares the numbers.
        run_mixed_precision_check=False,
    )


def with_policy(case, policy):
    """The layer again, with the same weights, under another dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with keras_private.values_given_later():
            layer = case.make()
            layer.build(case.shape)
            layer.set_weights(case.layer.get_weights())
    finally:
        keras.config.set_dtype_policy(before)
    return layer


def test_mixed_bfloat16_computes_in_bfloat16_near_float32(case):
    if BACKEND == "jax" and not case.first:
        pytest.skip("JAX takes a second or more to compile each")
    layer, dtypes = with_policy(case, "mixed_bfloat16"), []

    def call(x):
        y = layer(x)
        dtypes.append(keras.backend.standardize_dtype(y.dtype))
        return ops.cast(y, "float32")

    got = computed(call, case.x)
    assert dtypes == ["bfloat16"]
    assert {v.dtype for v in layer.weights} <= {"float32"}
    scale = np.abs(case.y).max()
    np.testing.assert_allclose(got / scale, case.y / scale, atol=0.05)


@slow_on("jax")
@pytest.mark.parametrize(("policy", "dtype"), [("float32", "int32"), ("mixed_bfloat16", "uint8")])
def test_integers_are_computed_with_as_the_floats_they_stand_for(case, policy, dtype):
    layer = case.layer if policy == "float32" else with_policy(case, policy)
    # Up to 255, which bfloat16 holds exactly and no sum of uint8 does.
    x = np.random.default_rng(0).integers(0, 256, case.shape)
    want, got = (
        computed(lambda x: ops.cast(layer(x), "float32"), x.astype(kind))
        for kind in ("float32", dtype)
    )
    np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has float64 off by default")
def test_float64_computes_in_float64_and_float32_agrees(case):
    double, x = with_policy(case, "float64"), batch(case.shape, "float64")
    # As a tensor: on PyTorch Keras rounds a float64 array to float32.
    want = double(ops.convert_to_tensor(x, dtype="float64"))
    rounded = double(ops.convert_to_tensor(x.astype("float32"), dtype="float64"))
    assert keras.backend.standardize_dtype(want.dtype) == "float64"
    want = ops.convert_to_numpy(want)
    np.testing.assert_allclose(case.y, want, atol=1e-5 * np.abs(want).max())
    # Computed in float64, not only called so: rounding the input to float32 must be seen. (Not on
    # PyTorch, where Keras 3.15 itself multiplies float64 matrices in float32.)
    if keras.backend.result_type("float64") == "float64":
        assert 0 < np.abs(ops.convert_to_numpy(rounded) - want).max() < 1e-4


@slow_on("jax", "tensorflow")
def test_any_batch_size_in_functional_and_subclassed_models(case):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = case.layer

        def call(self, x):
            return self.inner(x)

    def predict(model, x):
        model.compile(jit_compile="auto" if case.first or BACKEND != "tensorflow" else False)
        return model.predict_on_batch(x)

    x = batch((3, *case.shape[1:]))
    np.testing.assert_array_equal(x[:2], case.x)
    three = predict(keras.Model(case.model.input, case.model.output), x)
    assert three.shape[case.axis] == 3
    want = case.y
    if case.first or BACKEND != "jax":  # JAX takes half a second or more to compile each.
        want = np.concatenate([want, predict(Subclassed(), x[2:])], axis=case.axis)
    got = np.take(three, range(want.shape[case.axis]), axis=case.axis)
    np.testing.assert_allclose(got, want, atol=1e-5)


@slow_on("jax", "tensorflow")
def test_saved_and_loaded_as_keras_file(case, tmp_path):
    case.model.save(tmp_path / "model.keras")
    with keras_private.values_given_later():
        loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(computed(loaded, case.x), case.y, atol=1e-6)


@pytest.mark.neutral
@pytest.mark.parametrize("name", CASES)
def test_docstring_tells_shapes_and_source(name):
    text = getattr(layers, name).__doc__
    assert ">>> " in text
    assert "Args:" in text
    assert "nput shape" in text
    assert "utput shape" in text
    # Sources that are not on arXiv.
    assert "arXiv" in text or "no arXiv number" in text


def of_numpy(value, *kinds):
    """Python's numbers and switches as NumPy's."""
    kinds = dict(zip((int, float, bool), kinds, strict=True))
    return keras.tree.map_structure(lambda leaf: kinds.get(type(leaf), lambda x: x)(leaf), value)


@slow_on_tensorflow
@pytest.mark.neutral
@pytest.mark.parametrize("identity", IDS)
def test_numbers_may_be_numpys(identity):
    name, i = IDS[identity]
    kwargs, shape, _ = CASES[name][i]
    same = make(name, {**kwargs(), "name": "a"})
    same.build(shape)
    for kinds in ((np.int64, np.float64, np.bool_), (np.array,) * 3):
        layer = make(name, {**of_numpy(kwargs(), *kinds), "name": "a"})
        layer.build(shape)
        assert [v.shape for v in layer.weights] == [v.shape for v in same.weights]
        assert layer.compute_output_shape(shape) == same.compute_output_shape(shape)
        json.dumps(keras.saving.serialize_keras_object(layer))


@pytest.mark.neutral
@pytest.mark.parametrize("of", [layers, models], ids=["layers", "builders"])
def test_whatever_is_public_takes_numpys(of):
    names = [n for n in of.__all__ if of is layers or hasattr(getattr(of, n), "family")]
    for name in names:
        function = getattr(of, name).__init__ if of is layers else getattr(of, name)
        assert function.__code__ is takes_numpy(len).__code__, name


@pytest.mark.neutral
@pytest.mark.parametrize("name", CASES)
def test_unknown_arguments_are_refused(name):
    kwargs, _, _ = CASES[name][0]
    with pytest.raises((TypeError, ValueError), match="stepz"):
        make(name, {**kwargs(), "stepz": 3})


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("name", "changed", "shape", "words"),
    [
        pytest.param(name, changed, shape, words, id=f"{name}{i}")
        for name, cases in WRONG.items()
        for i, (changed, shape, *words) in enumerate(cases)
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(name, changed, shape, words):
    kwargs, good_shape, _ = CASES[name][0]
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        make(name, {**kwargs(), **changed}).build(shape or good_shape)
    assert all(word in str(refused.value) for word in words), refused.value
