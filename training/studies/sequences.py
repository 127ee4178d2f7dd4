"""Made sequences whose answers lie far back, and one way to learn them."""

import numpy as np

BATCH = 32
# An answer of the adding task is right if it is so near, as in Hochreiter and Schmidhuber (1997).
NEAR = 0.04


def adding(count, steps, seed):
    """The adding task: two of many numbers are marked, one of either half, and to be summed.

    Args:
        count: how many sequences.
        steps: their length.
        seed: of the draws.

    Returns:
        (count, steps, 2), numbers of 0 to 1 and marks, and the sums (count, 1).
    """
    rng, rows = np.random.default_rng(seed), np.arange(count)
    x = np.zeros((count, steps, 2), "float32")
    x[..., 0] = rng.uniform(size=(count, steps))
    half = steps // 2
    for low, high in ((0, half), (half, steps)):
        x[rows, rng.integers(low, high, count), 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True)


def echo(count, steps, delay, symbols, seed):
    """The echo task: each answer is the symbol that came so many steps before.

    Args:
        count: how many sequences.
        steps: their length.
        delay: how many steps an answer lies behind.
        symbols: how many there are; the answers before the first echo are one more.
        seed: of the draws.

    Returns:
        One-hot (count, steps, symbols), and the answers int32 (count, steps).
    """
    drawn = np.random.default_rng(seed).integers(0, symbols, (count, steps))
    answers = np.full((count, steps), symbols, "int32")
    answers[:, delay:] = drawn[:, : steps - delay]
    return np.eye(symbols, dtype="float32")[drawn], answers


def learn(model, x, y, loss, rate, clip=None, batch=BATCH, epochs=1):
    """Trains a model by Adam.

    Args:
        model: a built model.
        x: its inputs, as many as whole batches.
        y: the answers.
        loss: of Keras.
        rate: the learning rate.
        clip: largest norm of all gradients together, None for any.
        batch: examples a step.
        epochs: how often each is seen.

    Returns:
        The loss of the last epoch.
    """
    import keras

    from training.fit.models import jit_compile

    optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=jit_compile())
    history = model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return float(history.history["loss"][-1])
