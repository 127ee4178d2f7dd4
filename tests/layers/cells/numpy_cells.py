"""Recurrent cells in NumPy's float64: each step, and its gradient by hand.

A cell's reference is a pair of functions:

    forward(weights, x, states) -> (output, states, cache)
    backward(weights, cache, d_output, d_states) -> (d_x, d_states_before, d_weights)

with `weights` and `d_weights` as {name: array}, names as in the cell, and the states as a list.
`test_cells.py` runs them over masked sequences and back through time.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def peephole_lstm(w, x, states, carried=0):
    h, c = states
    n = h.shape[1]
    z = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    p = w["peephole"]
    i = sigmoid(z[:, :n] + p[0] * c)
    f = sigmoid(z[:, n : 2 * n] + p[1] * c)
    g = np.tanh(z[:, 2 * n : 3 * n])
    new_c = f * c + i * g + carried
    o = sigmoid(z[:, 3 * n :] + p[2] * new_c)
    new_h = o * np.tanh(new_c)
    return new_h, [new_h, new_c], (x, h, c, i, f, g, o, new_c)


def peephole_lstm_back(w, cache, d_output, d_states):
    d_x, (d_h, d_c, _), d_w = _peephole_lstm_back(w, cache, d_output, d_states)
    return d_x, [d_h, d_c], d_w


def _peephole_lstm_back(w, cache, d_output, d_states):
    """As above, with the gradient of what is carried as a third state's."""
    x, h, c, i, f, g, o, new_c = cache
    p = w["peephole"]
    d_h, d_c = d_output + d_states[0], d_states[1]
    t = np.tanh(new_c)
    d_o = d_h * t * o * (1 - o)
    d_c = d_c + d_h * o * (1 - t**2) + d_o * p[2]
    d_i = d_c * g * i * (1 - i)
    d_f = d_c * c * f * (1 - f)
    d_g = d_c * i * (1 - g**2)
    d_z = np.concatenate([d_i, d_f, d_g, d_o], axis=1)
    d_peephole = [np.sum(a * b, axis=0) for a, b in ((d_i, c), (d_f, c), (d_o, new_c))]
    d_w = {
        "kernel": x.T @ d_z,
        "recurrent_kernel": h.T @ d_z,
        "bias": d_z.sum(axis=0),
        "peephole": np.stack(d_peephole),
    }
    d_before = [d_z @ w["recurrent_kernel"].T, d_c * f + d_i * p[0] + d_f * p[1], d_c]
    return d_z @ w["kernel"].T, d_before, d_w


def jordan(decay):
    """The pair of functions for a decay of the trace."""

    def forward(w, x, states):
        s = states[0] + decay * states[1] if decay else states[0]
        h = np.tanh(x @ w["kernel"] + s @ w["recurrent_kernel"] + w["bias"])
        y = sigmoid(h @ w["output_kernel"] + w["output_bias"])
        return y, [y, s] if decay else [y], (x, s, h, y)

    def backward(w, cache, d_output, d_states):
        x, s, h, y = cache
        d_a = (d_output + d_states[0]) * y * (1 - y)
        d_z = d_a @ w["output_kernel"].T * (1 - h**2)
        d_w = {
            "kernel": x.T @ d_z,
            "recurrent_kernel": s.T @ d_z,
            "bias": d_z.sum(axis=0),
            "output_kernel": h.T @ d_a,
            "output_bias": d_a.sum(axis=0),
        }
        d_s = d_z @ w["recurrent_kernel"].T
        if not decay:
            return d_z @ w["kernel"].T, [d_s], d_w
        d_s = d_s + d_states[1]
        return d_z @ w["kernel"].T, [d_s, decay * d_s], d_w

    return forward, backward


def _part(w, prefix):
    """The arrays of a part of the cell, by their names in it."""
    return {key.removeprefix(prefix): v for key, v in w.items() if key.startswith(prefix)}


def depth_gated(depth):
    """The pair of functions for a number of layers."""

    def forward(w, x, states):
        caches, after, below = [], [], None
        for i in range(depth):
            own = states[2 * (depth - 1 - i) :][:2]
            gate = _part(w, f"gate{i}/")
            d, carried = None, 0
            if gate:
                below = x @ gate["memory_kernel"] if i == 0 else below
                z = x @ gate["kernel"] + gate["bias"] + gate["peephole"][0] * own[1]
                d = sigmoid(z if i == 0 else z + gate["peephole"][1] * below)
                carried = d * below
            _, new, cache = peephole_lstm(_part(w, f"layer{i}/"), x, own, carried)
            caches.append((cache, d, below, x, own[1]))
            after, (x, below) = [*new, *after], new
        return x, after, caches

    def backward(w, caches, d_output, d_states):
        d_w, d_before = {}, []
        d_x, d_below = d_output, 0
        for i in reversed(range(depth)):
            cache, d, below, x, c = caches[i]
            d_h, d_c = d_states[2 * (depth - 1 - i) :][:2]
            gate = _part(w, f"gate{i}/")
            d_x, (d_h, d_c, d_carried), d_layer = _peephole_lstm_back(
                _part(w, f"layer{i}/"), cache, d_x, [d_h, d_c + d_below]
            )
            d_w |= {f"layer{i}/{key}": value for key, value in d_layer.items()}
            if gate:
                d_below = d_carried * d
                d_z = d_carried * below * d * (1 - d)
                d_c = d_c + d_z * gate["peephole"][0]
                d_x = d_x + d_z @ gate["kernel"].T
                d_peephole = [(d_z * c).sum(axis=0)]
                if i == 0:
                    d_w["gate0/memory_kernel"] = x.T @ d_below
                    d_x = d_x + d_below @ gate["memory_kernel"].T
                else:
                    d_below = d_below + d_z * gate["peephole"][1]
                    d_peephole.append((d_z * below).sum(axis=0))
                d_w[f"gate{i}/kernel"] = x.T @ d_z
                d_w[f"gate{i}/bias"] = d_z.sum(axis=0)
                d_w[f"gate{i}/peephole"] = np.stack(d_peephole)
            d_before = [*d_before, d_h, d_c]
        return d_x, d_before, d_w

    return forward, backward
