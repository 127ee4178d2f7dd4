"""What the curvature probe needs of PyTorch; see `tensorflow_probe.py`."""

import collections
import contextlib
import math

import keras
import torch
import torch.nn.functional as F

FASTEST = "forward"
tape_jet = None
jvp = keras.ops.jvp
# Calls with tensors of the same shapes before the one that is traced, which costs as much as tens
# of calls of a small network.
UNTRACED = 2

# ATen's operations whose result is zero if their tensor is, and if one of their first two is.
LINEAR = {
    *("alias", "clone", "expand", "neg", "permute", "select", "slice", "squeeze", "sum", "t"),
    *("transpose", "unsqueeze", "view", "_to_copy", "_unsafe_view"),
}
PRODUCTS = {"bmm", "convolution", "mm", "mul"}


def compiled(function):
    """`function` itself, without the graph of a reverse pass that nobody will ask for."""
    return torch.no_grad()(function)


def compiled_jet(function):
    """`function` of structures of tensors, which takes derivatives of derivatives.

    They compute the first derivatives twice, and each operation goes through two levels of
    dispatch. A trace leaves plain operations, each of which is done once.
    """
    calls, traces = collections.Counter(), {}

    def run(*args):
        key = tuple((x.shape, x.dtype, x.device) for x in keras.tree.flatten(args))
        calls[key] += 1
        if calls[key] == UNTRACED + 1:
            traces[key] = _traced(function, args)
        return traces.get(key, function)(*args)

    return compiled(run)


def _traced(function, args):
    """`function` as a graph without repetitions; itself, if what it does depends on values."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        # Without operations in place, or two results that look alike could differ later.
        module = make_fx(torch.func.functionalize(lambda *args: function(*args)))(*args)
    except Exception:
        # Not the function's own, which has run before.
        return function
    seen, zeros = {}, set()
    for node in module.graph.nodes:
        tags = getattr(node.target, "tags", ())
        if node.op != "call_function" or torch.Tag.nondeterministic_seeded in tags:
            continue
        if _is_zero(node, zeros):
            zeros.add(node)
        first = seen.setdefault(f"{node.target} {node.args} {node.kwargs}", node)
        first = _without_zero(first, zeros)
        if first is not node:
            node.replace_all_uses_with(first)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _is_zero(node, zeros):
    """Whether an operation of a graph is known to give zeros: what weights have as tangents."""
    operation = str(node.target).removeprefix("aten.").partition(".")[0]
    of_zeros = [x in zeros for x in node.all_input_nodes]
    if operation in PRODUCTS:
        # A convolution adds a bias.
        return any(of_zeros[:2]) and all(of_zeros[2:])
    return operation == "zeros" or (operation in LINEAR and all(of_zeros))


def _without_zero(node, zeros):
    """The other summand of two, if one is zero and the sum is laid out as it is."""
    if node.target is not torch.ops.aten.add.Tensor or node.kwargs:
        return node
    for summand, other in (node.args, node.args[::-1]):
        if other in zeros and isinstance(summand, torch.fx.Node):
            a, b = node.meta["val"], summand.meta["val"]
            if (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype):
                return summand
    return node


def run_once(function):
    """`function` for a few calls: as everything here."""
    return compiled(function)


def float64_scope():
    """A scope in which float64 is computed as such: PyTorch always does."""
    return contextlib.nullcontext()


def substitutes():
    """[(module, name, function)] to use while the probe traces.

    Second forward derivatives through the fused layer and group norm are wrong (2.13), and the
    other functions here have none: they are written out.
    """
    return [
        (F, "layer_norm", _layer_norm),
        (F, "group_norm", _group_norm),
        (F, "scaled_dot_product_attention", _attention),
        (F, "silu", lambda input, inplace=False: input * torch.sigmoid(input)),
        (F, "hardsigmoid", lambda input, inplace=False: torch.clamp(input / 6 + 0.5, 0, 1)),
        (F, "glu", _glu),
    ]


def _standardise(x, axes, eps):
    centred = x - x.mean(axes, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + eps)


def _layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = _standardise(input, tuple(range(-len(normalized_shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    grouped = input.reshape(input.shape[0], num_groups, -1)
    y = _standardise(grouped, (2,), eps).reshape(input.shape)
    shape = (1, -1) + (1,) * (input.ndim - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _glu(input, dim=-1):
    x, gate = input.chunk(2, dim)
    return x * torch.sigmoid(gate)


def _attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
):
    if dropout_p:
        raise ValueError(f"attention has `dropout_p` {dropout_p}, but a probe wants inference.")
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    products = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(products.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None:
        products = (
            products.masked_fill(~attn_mask, -torch.inf)
            if attn_mask.dtype == torch.bool
            else products + attn_mask
        )
    return torch.softmax(products, dim=-1) @ value
