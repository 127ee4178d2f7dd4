"""One name for the way the backend in use spreads `fit()` over devices and processes.

with distribute.scope("auto") as devices:
    model = devices.prepare(zoo.load("vit7_rec", weights=None))
    model.compile(...)
    model.fit(devices.shard(batches))
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import keras
import numpy as np

from keras_recres.backend import distribution

AUTO = "auto"
SINGLE = "single"
ModelT = TypeVar("ModelT", bound=keras.Model)


@dataclasses.dataclass(frozen=True)
class Devices:
    """What a scope spreads over.

    Attributes:
        kind: one of `kinds()`, never "auto".
        replicas: copies of the model, each of which takes an equal part of every batch.
        processes: how many run this program.
        process: which of them this one is, from 0.
    """

    kind: str
    replicas: int = 1
    processes: int = 1
    process: int = 0
    # Of the backend: what is done to a model, whether it is this that shares out batches, and the
    # mean of a number over all replicas.
    ready: Callable[[keras.Model], object] | None = dataclasses.field(default=None, repr=False)
    shards: bool = dataclasses.field(default=True, repr=False)
    mean: Callable[[float], float] | None = dataclasses.field(default=None, repr=False)

    @property
    def chief(self) -> bool:
        """Whether this process writes files and says what goes on."""
        return self.process == 0

    def check_batch(self, size: int) -> None:
        """Raises a ValueError unless a batch of `size` can be shared out equally."""
        if size % self.replicas:
            near = max(1, round(size / self.replicas)) * self.replicas
            raise ValueError(
                f"a batch of {size:,} cannot be shared out equally to {self.replicas} replicas: "
                f"take a multiple, such as {near:,}."
            )

    def agree(self, number: int) -> bool:
        """Whether an integer is the same in all processes, which all ask; their sum below 2^24.

        Where processes go on from different states, every step of theirs waits for the others all
        the same, and what they learn is of no use.
        """
        if self.processes == 1:
            return True
        # One that differs by 1 makes it over 1 / processes; rounding the mean, far less.
        apart = self.mean(abs(number - self.mean(float(number))))
        return apart < 0.25 / self.processes

    def prepare(self, model: ModelT) -> ModelT:
        """The same model, for training in this scope, in which it was made.

        Batch normalization is of the whole batch, not of each replica's part of it.

        Raises:
            ValueError: For a layout that shards no weight, and for batch normalization on
                PyTorch with several processes.
        """
        if self.ready is not None:
            self.ready(model)
        return model

    def shard(self, batches: keras.utils.PyDataset) -> keras.utils.PyDataset:
        """Of each batch this process' part.

        Args:
            batches: `keras.utils.PyDataset`, the same in every process. If it has a method
                `part(index, process, processes)`, that gives the part, so that the rest need not be
                made. TensorFlow's strategies share out whole batches, and are given copies of them.
        """
        if self.processes == 1 and self.shards:
            return batches
        return Shard(batches, self)


class Shard(keras.utils.PyDataset):
    """Of each batch the part of one process: rows from `size·process/processes` on.

    Where TensorFlow shares out batches, a copy of all of it: there a replica's part lies in the
    memory of the array that the batch came as, and a model computes in place in it (TensorFlow
    2.21, on processors), so that what the batch was cut from would be other data afterwards.
    """

    def __init__(self, batches: keras.utils.PyDataset, devices: Devices) -> None:
        super().__init__(workers=batches.workers)
        self.batches = batches
        self.devices = devices

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        made = getattr(self.batches, "part", None)
        if callable(made) and self.devices.shards:
            own = made(index, self.devices.process, self.devices.processes)
            self.devices.check_batch(len(keras.tree.flatten(own)[0]) * self.devices.processes)
            return own

        def part(x):
            if not self.devices.shards:
                return np.array(x)
            self.devices.check_batch(len(x))
            size = len(x) // self.devices.processes
            return x[self.devices.process * size :][:size]

        return keras.tree.map_structure(part, self.batches[index])

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def kinds() -> tuple[str, ...]:
    """What `scope` takes on the backend in use, "auto" and "single" first."""
    return (AUTO, SINGLE, *distribution.KINDS)


@contextlib.contextmanager
def scope(kind: str = AUTO, **options: Any) -> Iterator[Devices]:
    """A scope in which models are made, compiled and trained on several devices.

    | kind           | backend    | what it is                                    |
    |----------------|------------|-----------------------------------------------|
    | single         | all        | one device                                    |
    | mirrored       | TensorFlow | MirroredStrategy: the devices of one machine  |
    | multi_worker   | TensorFlow | MultiWorkerMirroredStrategy, from TF_CONFIG   |
    | tpu            | TensorFlow | TPUStrategy; on JAX data_parallel on TPUs     |
    | data_parallel  | JAX        | keras.distribution.DataParallel               |
    | data_parallel  | PyTorch    | a process a device (torchrun), gloo or nccl   |
    | model_parallel | JAX        | keras.distribution.ModelParallel              |

    "auto" takes several processes where the environment names them (TF_CONFIG; WORLD_SIZE of
    torchrun; `initialize` of keras.distribution), else, but on PyTorch, all accelerators of this
    machine, else "single". The global batch and the seed being the same, the losses are those of
    one device; but for activity regularisers on several replicas of TensorFlow, which Keras
    computes from each replica's part of the batch.

    Args:
        kind: One of `kinds()`.
        **options: `devices`, names of devices ("cpu:0"), default all (mirrored, data_parallel,
            model_parallel); `layout`, {regular expression of a weight's whole path: axes} with
            "model" where it is cut (`zoo.info(name).layout` has one), and `model_devices`, into
            how many parts (model_parallel); `resolver`, the TPU's name or address (tpu on
            TensorFlow); `job_addresses`, `num_processes`, `process_id` as in
            `keras.distribution.initialize` (data_parallel and model_parallel on JAX).

    Yields:
        `Devices`.

    Raises:
        ValueError: For a kind that the backend does not have, an unknown option, or devices that
            are not there.

    Example:
    >>> with distribute.scope("auto") as devices:
    ...     model = devices.prepare(zoo.load("vit7_rec", weights=None))
    ...     model.compile("adamw", "sparse_categorical_crossentropy")
    ...     model.fit(devices.shard(batches))
    """
    backend = keras.backend.backend()
    if kind not in kinds():
        raise ValueError(f"`kind` on {backend} must be one of {kinds()}, but it is {kind!r}.")
    kind = distribution.detect() if kind == AUTO else kind
    allowed = distribution.KINDS.get(kind, ())
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is not an option of {kind!r} on {backend}, "
            f"which takes {', '.join(allowed) or 'none'}."
        )
    if kind == SINGLE:
        yield Devices(SINGLE)
        return
    with distribution.enter(kind, **options) as found:
        yield Devices(kind, **found)
