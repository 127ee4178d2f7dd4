"""`benchmark`: how fast a network is on this machine, and what memory it takes."""

import sys
import time

from keras_recres.cli import options
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import progress_bar

COLUMNS = [
    Column("name", pipe_only=True),
    Column("batch", format=count, right=True),
    Column("milliseconds", "ms, least", number, right=True),
    Column("median_milliseconds", "ms, median", number, right=True),
    Column("images_per_second", "examples/s", "{:,.0f}".format, right=True),
    Column("giga_multiply_adds_per_second", "10⁹ multiply-adds/s", number, right=True),
    Column("peak_mib", "peak memory, MiB", count, right=True),
    Column("parameters", pipe_only=True),
    Column("multiply_adds", pipe_only=True),
    Column("backend", pipe_only=True),
]
# Of each batch size, and how many calls in any case.
SECONDS, LEAST = 2.0, 2


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "benchmark",
        _benchmark,
        "measure latency, examples a second and memory on this machine",
        [
            "benchmark vit3_rec",
            "benchmark cifar_medium --batch-sizes 1,256 --backend torch --json",
            "benchmark vit7 --untrained",
        ],
    )
    options.add_network(p, untrained=True)
    p.add_argument(
        "--batch-sizes",
        type=options.several,
        default=[1, 32, 128],
        metavar="N,N,…",
        help="default 1,32,128",
    )
    options.add_json(p)


def _benchmark(arguments):
    record = options.check_network(arguments)
    model = options.load_network(arguments)
    import keras

    from keras_recres.models import multiply_adds
    from keras_recres.zoo.fine_tuning import peak_memory

    facts = {
        "name": record.name,
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model).total,
        "backend": keras.backend.backend(),
    }
    rows = []
    with progress_bar("measuring", len(arguments.batch_sizes)) as advance:
        # Small ones first: memory that a process has held it cannot have held less of later.
        for batch in sorted(set(arguments.batch_sizes)):
            seconds = sorted(_seconds(model, batch))
            peak = peak_memory()
            rows.append(
                {
                    **facts,
                    "batch": batch,
                    "milliseconds": 1e3 * seconds[0],
                    "median_milliseconds": 1e3 * seconds[len(seconds) // 2],
                    "images_per_second": batch / seconds[0],
                    "giga_multiply_adds_per_second": 1e-9
                    * (facts["multiply_adds"] * batch / seconds[0]),
                    "peak_mib": peak and round(peak / 2**20),
                }
            )
            advance(1)
    title = (
        f"{record.name} on {facts['backend']}: {facts['parameters']:,} parameters, "
        f"{facts['multiply_adds']:,} multiply-adds"
    )
    show(rows, COLUMNS, arguments.json, title)
    filed = [result for result in record.results if result.tag == record.default_tag]
    for result in filed:
        print(f"filed: {result}; {result.backend}, {result.hardware}", file=sys.stderr)


def _seconds(model, batch):
    """Of each of several calls that wait for their result, after one that may compile."""
    from keras_recres.models.random_inputs import random_inputs

    x = random_inputs(model, batch)
    x = x[0] if len(x) == 1 else x
    model.predict_on_batch(x)
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < LEAST or time.perf_counter() < end:
        begin = time.perf_counter()
        model.predict_on_batch(x)
        times.append(time.perf_counter() - begin)
    return times
