"""Grid LSTM and Array-LSTM in NumPy, float64, forwards and, by hand, backwards."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def add(grads, name, value):
    grads[name] = grads.get(name, 0) + value


class Grid:
    """A step of a GridLSTMCell; weights by their names, as of one cell."""

    def __init__(self, weights, depth, tied=False, priority=True, output="o_tanh_m"):
        self.w, self.depth, self.tied, self.priority = weights, depth, tied, priority
        self.inside = output == "tanh_om"

    def transform(self, name, h_time, h_depth, m):
        kernel, bias = f"{name[0]}_kernel{name[1]}", f"{name[0]}_bias{name[1]}"
        big = np.concatenate([h_time, h_depth], 1)
        i, f, c, o = np.split(big @ self.w[kernel] + self.w.get(bias, 0), 4, axis=1)
        i, f, c, o = sigmoid(i), sigmoid(f), np.tanh(c), sigmoid(o)
        new = f * m + i * c
        h = np.tanh(o * new) if self.inside else o * np.tanh(new)
        return h, new, (kernel, bias, big, i, f, c, o, m, new, h)

    def transform_back(self, cache, dh, dm, grads):
        kernel, bias, big, i, f, c, o, m, new, h = cache
        if self.inside:
            d = dh * (1 - h**2)
            do, dm = d * new, dm + d * o
        else:
            do, dm = dh * np.tanh(new), dm + dh * o * (1 - np.tanh(new) ** 2)
        z = [dm * c * i * (1 - i), dm * m * f * (1 - f), dm * i * (1 - c**2), do * o * (1 - o)]
        z = np.concatenate(z, 1)
        add(grads, kernel, big.T @ z)
        add(grads, bias, z.sum(0))
        d_time, d_depth = np.split(z @ self.w[kernel].T, 2, axis=1)
        return d_time, d_depth, dm * f

    def forward(self, x, states):
        h_d, m_d = np.split(x @ self.w["kernel"] + self.w.get("bias", 0), 2, axis=1)
        new, caches = [], []
        for layer in range(self.depth):
            i = 0 if self.tied else layer
            h_t, m_t = states[1 + 2 * layer : 3 + 2 * layer]
            new_h, m_t, of_time = self.transform(("time", i), h_t, h_d, m_t)
            seen = new_h if self.priority else h_t
            h_d, m_d, of_depth = self.transform(("depth", i), seen, h_d, m_d)
            new += [new_h, m_t]
            caches.append((of_time, of_depth))
        return h_d, [h_d, *new], (x, caches)

    def backward(self, cache, d_output, d_states, grads):
        x, caches = cache
        dh_d, dm_d = d_output + d_states[0], 0
        before = [np.zeros_like(d_states[0])]
        for layer in reversed(range(self.depth)):
            of_time, of_depth = caches[layer]
            dh_t, dm_t = d_states[1 + 2 * layer : 3 + 2 * layer]
            d_seen, dh_low, dm_d = self.transform_back(of_depth, dh_d, dm_d, grads)
            dh_t = dh_t + (d_seen if self.priority else 0)
            d_time, more, dm_t = self.transform_back(of_time, dh_t, dm_t, grads)
            before[1:1] = [d_time + (0 if self.priority else d_seen), dm_t]
            dh_d = dh_low + more
        z = np.concatenate([dh_d, dm_d], 1)
        add(grads, "kernel", x.T @ z)
        add(grads, "bias", z.sum(0))
        return z @ self.w["kernel"].T, before


class Array:
    """A step of an ArrayLSTMCell in inference."""

    def __init__(self, weights, lanes, select):
        self.w, self.k, self.select = weights, lanes, select
        self.n = len(weights["recurrent_kernel"])
        self.bias = np.concatenate([weights["bias"], weights.get("attention_bias", np.zeros(0))])

    def forward(self, x, states):
        h, memory, *rest = states
        z = x @ self.w["kernel"] + h @ self.w["recurrent_kernel"] + self.bias
        blocks = z.reshape(len(x), -1, self.k, self.n)
        m = memory.reshape(-1, self.k, self.n)
        i, f, o = (sigmoid(blocks[:, b]) for b in (0, 1, 3))
        c, a, s = np.tanh(blocks[:, 2]), None, 1
        if blocks.shape[1] == 5:
            a = sigmoid(blocks[:, 4])
            soft = softmax(a, 1)
            chosen = soft == soft.max(1, keepdims=True) if self.select == "max" else 1
            s = soft * chosen
            keep = 1 - f * s
        else:
            soft = chosen = None
            keep = f
        new = keep * m + i * s * c
        if self.select == "pool":
            share = o / o.sum(1, keepdims=True)
        else:
            share = 1 / self.k if self.select == "stochastic" else 1
        out = (share * o * s * np.tanh(new)).sum(1)
        kept = m + (new - m) / self.k if self.select == "stochastic" else new
        cache = (x, h, m, i, f, c, o, a, s, soft, chosen, keep, new, share)
        return out, [out, kept.reshape(len(x), -1), *rest], cache

    def backward(self, cache, d_output, d_states, grads):
        x, h, m, i, f, c, o, a, s, soft, chosen, keep, new, share = cache
        dh = (d_output + d_states[0])[:, None]
        d_kept = d_states[1].reshape(m.shape)
        d_new, dm = d_kept, 0
        if self.select == "stochastic":
            d_new, dm = d_kept / self.k, d_kept * (1 - 1 / self.k)
        t = np.tanh(new)
        if self.select == "pool":  # Σ o² t / Σ o
            total = o.sum(1, keepdims=True)
            do = dh * (2 * o * t / total - (o**2 * t).sum(1, keepdims=True) / total**2)
        else:
            do = dh * share * s * t
        d_new = d_new + dh * share * o * s * (1 - t**2)
        dm = dm + d_new * keep
        di, df, dc = d_new * s * c, d_new * m * (1 if a is None else -s), d_new * i * s
        z = [di * i * (1 - i), df * f * (1 - f), dc * (1 - c**2), do * o * (1 - o)]
        if a is not None:
            ds = (d_new * (i * c - f * m) + dh * o * t) * chosen
            da = soft * (ds - (ds * soft).sum(1, keepdims=True))
            z.append(da * a * (1 - a))
        z = np.concatenate([part.reshape(len(x), -1) for part in z], 1)
        add(grads, "kernel", x.T @ z)
        add(grads, "recurrent_kernel", h.T @ z)
        size = 4 * self.k * self.n
        add(grads, "bias", z[:, :size].sum(0))
        add(grads, "attention_bias", z[:, size:].sum(0))
        before = [z @ self.w["recurrent_kernel"].T, dm.reshape(len(x), -1)]
        return z @ self.w["kernel"].T, before + d_states[2:]


def functions(kind, **arguments):
    """The pair of functions, forwards and backwards, of a cell of these arguments."""

    def forward(weights, x, states):
        return kind(weights, **arguments).forward(x, states)

    def backward(weights, cache, d_output, d_states):
        grads = {}
        d_x, before = kind(weights, **arguments).backward(cache, d_output, d_states, grads)
        return d_x, before, {name: grad for name, grad in grads.items() if name in weights}

    return forward, backward
