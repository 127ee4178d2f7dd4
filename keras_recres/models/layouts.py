"""How the weights of a model are cut over devices that share it (keras.distribution)."""

MODEL = "model"
COLUMNS, ROWS, BIAS = (None, MODEL), (MODEL, None), (MODEL,)

# The first matrix of a branch by columns and the second by rows: one sum over devices a branch
# (arXiv 1909.08053, section 3). Keys are matched against a weight's whole path.
_TRANSFORMER = {
    r".*/(qkv|kqv|mlp_hidden)/kernel": COLUMNS,
    r".*/mlp_hidden/bias": BIAS,
    r".*/(attention_output|mlp_output)/kernel": ROWS,
}
_FRN = {r"block\d+/kernel": COLUMNS, r"block\d+/bias": BIAS, r"block\d+/projection": ROWS}
_RRN = {r"block\d+/kernel": COLUMNS, r"block\d+/bias": BIAS}


def layout(builder, arguments):
    """{regular expression of a weight's path: axes} for `keras_recres.distribute`, or None.

    Args:
        builder: Name of a function in `keras_recres.models`.
        arguments: Its keyword arguments.
    """
    if builder == "t2t_vit":
        return dict(_TRANSFORMER)
    if builder == "mean_field_net":
        return dict(_FRN if arguments["kind"] == "frn" else _RRN)
    return None
