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


def peephole_lstm(w, x, states):
    h, c = states
    n = h.shape[1]
    z = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    p = w["peephole"]
    i = sigmoid(z[:, :n] + p[0] * c)
    f = sigmoid(z[:, n : 2 * n] + p[1] * c)
    g = np.tanh(z[:, 2 * n : 3 * n])
    new_c = f * c + i * g
    o = sigmoid(z[:, 3 * n :] + p[2] * new_c)
    new_h = o * np.tanh(new_c)
    return new_h, [new_h, new_c], (x, h, c, i, f, g, o, new_c)


def peephole_lstm_back(w, cache, d_output, d_states):
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
    d_before = [d_z @ w["recurrent_kernel"].T, d_c * f + d_i * p[0] + d_f * p[1]]
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
