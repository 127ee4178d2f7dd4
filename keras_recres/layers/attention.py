"""Softmax attention of several heads, as the token and transformer layers use it."""

from keras import ops


def multi_head_attention(qkv, num_heads, scale, dropout=None, mask=None):
    """Softmax attention softmax(scale · q kᵀ) v in every head.

    Written out rather than `keras.ops.dot_product_attention`: that one computes in float32 under
    a float64 policy on PyTorch, rounds the scale to float32 on TensorFlow, and has no dropout. At
    the sizes of T2T-ViT (17 to 197 tokens, 4 heads of 64, training step on two CPU cores) it was
    no faster on any backend, about a tenth slower in float32 in most cases, and three times
    slower in bfloat16 on PyTorch.

    Args:
        qkv: Tensor (batch, N, 3·units): q, k and v in this order, in each of them head by head.
        num_heads: Number of heads, a divisor of units.
        scale: What the products of q and k are multiplied by.
        dropout: None, or a function of the (batch, heads, N, N) weights that drops some.
        mask: None, or True for each of the (batch, N) tokens that may be attended to.

    Returns:
        The pair (attention, values), both (batch, N, units).
    """
    tokens, units = qkv.shape[1], qkv.shape[2] // 3
    tokens = ops.shape(qkv)[1] if tokens is None else tokens
    # Not by indices: of a split the gradient is one tensor put together, of three slices it is the
    # sum of three that are mostly zeros.
    q, k, values = ops.split(qkv, 3, axis=-1)
    heads = (-1, tokens, num_heads, units // num_heads)
    q, k, v = (ops.reshape(x, heads) for x in (q, k, values))
    # The factor meets q, which is small, and not the N² products.
    products = ops.einsum("bqhd,bkhd->bhqk", q * scale, k)
    if mask is not None:
        # Finite, or an example without any token would be NaN.
        lowest = -3e4 if "16" in ops.dtype(products) else -1e9
        products = ops.where(ops.cast(mask, "bool")[:, None, None, :], products, lowest)
    weights = ops.softmax(products, axis=-1)
    if dropout is not None:
        weights = ops.cast(dropout(weights), v.dtype)
    attended = ops.einsum("bhqk,bkhd->bqhd", weights, v)
    return ops.reshape(attended, (-1, tokens, units)), values
