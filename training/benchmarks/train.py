"""Training steps: of every family of the zoo, and against networks written by hand.

Ours are steps of Keras' `fit()`, compiled as `training.fit` compiles them, with AdamW. Those by
hand are written directly in PyTorch and in JAX and begin with the same weights; their loss and
gradients must be ours before anything is timed. Every step goes from a batch in NumPy to the loss
as a float. FLOPs are 6 × multiply-adds × images, set against the fastest plain matrix product of
the same dtype on the same backend.
"""

import functools
import importlib.util
import os
import time

import keras
import numpy as np
from keras import ops

from training.benchmarks import by_hand, train_tables
from training.benchmarks.timing import seconds

POLICIES = ("float32", "mixed_bfloat16")
# One name each of the zoo's families, and its batch size.
FAMILIES = {
    "vit7": 32,
    "vit7_rec": 32,
    "cifar_medium": 64,
    "frn_tanh": 128,
    "rrn_tanh": 128,
    "mnist_resnet50_relu_he": 32,
    "planar_rec": 256,
}
# The size of the T2T-ViTs; of the others the default is taken.
TAGS = {"vit7": "tiny_imagenet80", "vit7_rec": "tiny_imagenet80"}
QUICK_FAMILIES, QUICK_BY_HAND = ("planar_rec",), ("tanh FRN, 50 layers",)
# Steps timed at a time, and seconds of all turns together, --quick or not; two are always taken.
STEPS, BUDGETS = 5, {True: 4.0, False: 20.0}
# Where the machine has no accelerators, so many virtual devices share its processor.
VIRTUAL = 2
LARGEST_MATMUL = 16384

report = train_tables.report


def cases(backend, quick):
    """The cases of one backend: the families, then the comparisons."""
    del backend
    return [
        {what: name, "policy": policy, "budget": BUDGETS[bool(quick)]}
        for what, names in (
            ("network", QUICK_FAMILIES if quick else FAMILIES),
            ("by_hand", QUICK_BY_HAND if quick else by_hand.NETWORKS),
        )
        for name in names
        for policy in (POLICIES[:1] if quick else POLICIES)
    ]


def measure(policy, budget, network=None, by_hand=None):
    """Seconds of a training step, its FLOPs, and the rate of a plain matrix product."""
    os.environ.update(
        # float32 as such on a GPU, for every library; and memory for all of them.
        NVIDIA_TF32_OVERRIDE="0",
        TF_FORCE_GPU_ALLOW_GROWTH="true",
        XLA_PYTHON_CLIENT_PREALLOCATE="false",
    )
    found = _family(network, policy, budget) if network else _by_hand(by_hand, policy, budget)
    size, rate = matmul_rate("float32" if policy == "float32" else "bfloat16")
    return {**found, "matmul_size": size, "matmul_rate": rate}


def _family(name, policy, budget):
    devices, accelerators = _devices()
    from keras_recres import distribute, models, zoo
    from keras_recres.models.families import family_of

    tag = TAGS.get(name, zoo.info(name).default_tag)
    convolutions = family_of(zoo.info(name).builder).convolutional

    def trained(**options):
        return compiled(zoo.build(name, tag=tag, dtype=policy), convolutions, **options)

    model, size = trained(), FAMILIES[name]
    batch = by_hand.batch_of(model, size)
    functions, replicas = {"one": lambda: fit_seconds(model, batch)}, 1
    if devices:
        kind = "mirrored" if keras.backend.backend() == "tensorflow" else "data_parallel"
        with distribute.scope(kind, devices=devices) as found:
            # XLA on TensorFlow knows only one of a processor's virtual devices.
            options = {} if accelerators else {"jit_compile": "auto"}
            several, replicas = found.prepare(trained(**options)), found.replicas
            # JAX' is of the whole process: on in this one's turns alone.
            distribution = keras.distribution.distribution()

        def spread():
            keras.distribution.set_distribution(distribution)
            try:
                return fit_seconds(several, batch, found.shard)
            finally:
                keras.distribution.set_distribution(None)

        functions["several"] = spread
    found = in_turns(functions, budget)
    return {
        "batch": size,
        "flops": 6 * models.multiply_adds(model).total * size,
        "seconds": found,
        "replicas": replicas,
        # Virtual devices have one processor between them.
        "processors": replicas if accelerators else 1,
    }


def _by_hand(name, policy, budget):
    from keras_recres import models

    kind, arguments, size = by_hand.NETWORKS[name]
    model = by_hand.build(kind, arguments)
    batch, weights = by_hand.batch_of(model, size), by_hand.weights_of(model)
    ours = by_hand.loss_and_gradients(model, *batch)
    functions, differences, failed = {}, {}, {}
    for form, make in _forms(kind, by_hand.arguments_by_hand(kind, arguments), weights).items():
        try:
            training = make(mixed=False)
            differences[form] = by_hand.difference(ours, training.loss_and_gradients(*batch))
        except RuntimeError as error:
            # Of PyTorch's compiler: a C++ compiler that is there need not be one that it can use.
            if form != "torch.compile":
                raise
            failed[form] = str(error).splitlines()[0]
            continue
        if differences[form] > by_hand.TOLERANCE:
            raise ValueError(
                f"{name} by hand ({form}) has loss and gradients of its own: they are "
                f"{differences[form]:.1e} from ours, more than {by_hand.TOLERANCE:.0e}."
            )
        if policy != "float32":
            training = make(mixed=True)
        functions[form] = lambda step=training.step: seconds(lambda: step(*batch), STEPS)
    keras.config.set_dtype_policy(policy)
    network = compiled(by_hand.build(kind, arguments))
    network.set_weights(model.get_weights())
    functions["ours"] = lambda: fit_seconds(network, batch)
    return {
        "batch": size,
        "flops": 6 * models.multiply_adds(model).total * size,
        "seconds": in_turns(functions, budget),
        "differences": differences,
        "failed": failed,
    }


def _forms(kind, arguments, weights):
    """{name: function of `mixed`} of the forms by hand that this machine can run."""
    found = {}
    if importlib.util.find_spec("torch"):
        from training.benchmarks import by_hand_torch

        for form in by_hand_torch.FORMS[: 2 if by_hand_torch.has_compiler() else 1]:
            found[form] = functools.partial(
                by_hand_torch.Training, kind, arguments, weights, form=form
            )
    if importlib.util.find_spec("jax"):
        from training.benchmarks import by_hand_jax

        found["jax.jit"] = functools.partial(by_hand_jax.Training, kind, arguments, weights)
    if not found:
        raise ValueError("PyTorch or JAX must be installed to compare with.")
    return found


def compiled(model, convolutions=False, jit_compile=None):
    """The model, compiled as `training.fit` does or with another `jit_compile`, without metrics."""
    from training.fit import models

    if jit_compile is None:
        jit_compile = models.jit_compile(convolutions)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(by_hand.optimizer(), loss, jit_compile=jit_compile)
    return model


class Repeated(keras.utils.PyDataset):
    """One batch again and again."""

    def __init__(self, batch, count):
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.batch


class Clock(keras.callbacks.Callback):
    """When each step ended, its loss being known."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])
        self.ends.append(time.perf_counter())


def fit_seconds(model, batch, shard=lambda batches: batches):
    """Seconds of a step of `fit()`: the least of some, each between the ends of two steps."""
    clock = Clock()
    # The first step has none before it.
    batches = shard(Repeated(batch, STEPS + 1))
    model.fit(batches, shuffle=False, verbose=0, callbacks=[clock])
    return float(np.diff(clock.ends).min())


def in_turns(functions, budget):
    """The least that each of several functions returned, called in turns; a first call aside."""
    for function in functions.values():
        function()
    turns, begin = [], time.perf_counter()
    while len(turns) < 2 or time.perf_counter() - begin < budget:
        turns.append({name: function() for name, function in functions.items()})
    return {name: min(turn[name] for turn in turns) for name in functions}


def matmul_rate(dtype):
    """Size and FLOPs a second of the fastest n × n matrix product of a dtype, on one device."""
    best, n = (0, 0.0), 256
    while n <= LARGEST_MATMUL:
        a = ops.cast(np.random.default_rng(0).normal(size=(n, n)).astype("float32"), dtype)
        took = seconds(lambda a=a: float(ops.cast(ops.matmul(a, a)[0, 0], "float32")), 10, 1.0)
        best = max(best, (n, 2 * n**3 / took), key=lambda pair: pair[1])
        if took > 0.5:
            break
        n *= 2
    return best


def _devices():
    """Names of the devices to spread over, None for one alone, and whether they are accelerators.

    To be called before anything is computed.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        real = [f"gpu:{i}" for i in range(len(tf.config.list_physical_devices("GPU")))]
        if not real:
            cpu = tf.config.list_physical_devices("CPU")[0]
            logical = [tf.config.LogicalDeviceConfiguration()] * VIRTUAL
            tf.config.set_logical_device_configuration(cpu, logical)
    elif keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_num_cpu_devices", VIRTUAL)
        real = [d for d in keras.distribution.list_devices() if not d.startswith("cpu")]
    else:
        # PyTorch needs a process for each.
        return None, False
    devices = real or [f"cpu:{i}" for i in range(VIRTUAL)]
    return (devices if len(devices) > 1 else None), bool(real)
