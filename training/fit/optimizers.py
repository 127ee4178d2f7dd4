"""Optimizers and their schedules."""

import keras

# Schedules of the learning rate, and the part of its peak that it ends at.
SCHEDULES = {"cosine": 0.01, "constant": 1.0}
OPTIMIZERS = ("adamw", "sgd")


def schedule(steps, warmup, peak, end):
    """The learning rate: linear from 0 to its peak, then a half cosine to a part of it.

    Args:
        steps: batches in all.
        warmup: how many of them the rate rises for.
        peak: its largest value.
        end: the part of the peak that it ends at, such as of `SCHEDULES`; 1 leaves it there.

    Returns:
        A Keras schedule, or a number.
    """
    warmup = min(warmup, steps - 1)
    if end == 1 and not warmup:
        return peak
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=steps - warmup,
        alpha=end,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def make(
    model,
    name,
    rate,
    weight_decay=0.0,
    epsilon=1e-7,
    ema=0.0,
    accumulate=1,
    clip_norm=0.0,
    momentum=0.0,
):
    """A Keras optimizer for a model.

    Only kernels decay; vectors and tokens (biases, norms, slopes, scales) keep their size. A decay
    of 0 makes AdamW Adam (arXiv 1412.6980).

    Args:
        model: the model.
        name: one of `OPTIMIZERS`.
        rate: a number or a schedule.
        weight_decay: per step and unit of learning rate.
        epsilon: Adam's ε, above 0.
        ema: momentum of the average of the weights an update, 0 for none.
        accumulate: batches an update.
        clip_norm: largest norm of all gradients together, 0 for any.
        momentum: of SGD, from 0 to below 1.
    """
    options = {"weight_decay": weight_decay or None, "global_clipnorm": clip_norm or None}
    if ema:
        # Keras averages after every batch, also after those that only collect gradients.
        options |= {"use_ema": True, "ema_momentum": ema ** (1 / accumulate)}
    if accumulate > 1:
        options["gradient_accumulation_steps"] = accumulate
    if name == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum, **options)
    else:
        kind = keras.optimizers.AdamW if weight_decay else keras.optimizers.Adam
        optimizer = kind(rate, epsilon=epsilon, **options)
    if weight_decay:
        # Biases, norms, slopes and scales are vectors, unless a block has them for every step; the
        # rest are tokens and embeddings of positions and steps. As a list: of names TensorFlow
        # would compare the whole path, in which a layer can be called `tokens_to_token`.
        spared = ("bias", "gamma", "beta", "token", "embedding")
        optimizer.exclude_from_weight_decay(
            var_list=[
                v
                for v in model.trainable_variables
                if len(v.shape) <= 1 or any(word in v.name for word in spared)
            ]
        )
    return optimizer
