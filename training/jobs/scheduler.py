"""Many trainings on one machine, some side by side, each a process of its own; within a time."""

import dataclasses
import os
import queue
import subprocess
import threading
import time

from training.jobs.board import Board
from training.provenance import ROOT, cores

# Seconds that a training has to end in order, before it is ended without.
GRACE = 20
# With less than this left a training begins only if it is known to reach its end.
LEAST = 60
STDERR = "stderr.log"


@dataclasses.dataclass
class Outcome:
    """What became of trainings.

    Attributes:
        finished: those that reached their end.
        failed: pairs of a training and the last line that it wrote.
        stopped: those that the end of the time interrupted; they go on next time.
        waiting: those that were not begun.
    """

    finished: list = dataclasses.field(default_factory=list)
    failed: list = dataclasses.field(default_factory=list)
    stopped: list = dataclasses.field(default_factory=list)
    waiting: list = dataclasses.field(default_factory=list)


def train(trainings, jobs, start, deadline=None, done=0):
    """Trains all, in their order; or what fits in the time.

    A training that does not fit is passed over for the next one that does. Where none fits, the
    first is begun all the same: it keeps its whole epochs and goes on next time.

    Args:
        trainings: list of `training.jobs.many_runs.Run`; where there is a deadline, with
            `seconds_left`, None for those of which nobody knows.
        jobs: how many run side by side.
        start: function of a training: its command line and its `--precision`.
        deadline: of `time.monotonic()`, None for no end.
        done: how many trainings are finished besides, which the board counts.

    Returns:
        An `Outcome`.
    """
    outcome = Outcome(waiting=list(trainings))
    active, events = {}, queue.SimpleQueue()
    board = Board(done + len(trainings), done)
    threads = max(1, cores() // min(jobs, max(1, len(trainings))))
    try:
        while True:
            while len(active) < jobs and (training := _next(outcome.waiting, deadline)):
                outcome.waiting.remove(training)
                active[training] = _begin(training, *start(training), threads, events)
                board.begin(str(training))
            if not active:
                return outcome
            try:
                training, line = events.get(timeout=_left(deadline))
            except queue.Empty:
                outcome.stopped += active
                return outcome
            if line is not None:
                board.tell(str(training), line)
                continue
            process = active.pop(training)
            code = process.wait()
            if code:
                outcome.failed.append((training, process.last_line))
            else:
                outcome.finished.append(training)
            board.end(str(training), process.last_line if code else None)
    finally:
        # After Ctrl-C too: each training keeps its whole epochs.
        _end(active.values())
        board.close()


def _left(deadline):
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _next(waiting, deadline):
    """The training to begin now, or None."""
    left = _left(deadline)
    if left is None or left >= LEAST:
        fits = (t for t in waiting if left is None or (t.seconds_left or 0) <= left)
        return next(fits, waiting[0] if waiting else None)
    return next((t for t in waiting if (t.seconds_left or LEAST) <= left), None)


def _begin(training, command, precision, threads, events):
    """Begins a training; what it writes becomes events, None at its end."""
    training.path.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(threads, precision),
        stdin=subprocess.PIPE,  # Closes when this process ends, and the training ends too.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    process.last_line = ""

    def read():
        with open(training.path / STDERR, "a", encoding="utf-8") as log:
            for line in process.stderr:
                log.write(line)
                log.flush()
                process.last_line = line.strip() or process.last_line
                events.put((training, process.last_line))
        events.put((training, None))

    threading.Thread(target=read, daemon=True).start()
    return process


def environment(threads, precision):
    """Environment variables of a training.

    OMP_NUM_THREADS counts where it is set: threads that wait for one another are slow on cores that
    others use, too.

    Args:
        threads: processor threads that it computes with.
        precision: its `--precision`.
    """
    threads = int((os.environ.get("OMP_NUM_THREADS") or str(threads)).split(",")[0])
    eigen = "true" if threads > 1 else "false"
    xla = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={eigen}"
    own = {
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "XLA_FLAGS": xla.strip(),
        # Several trainings may share one accelerator: none may take all of its memory.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "MPLBACKEND": os.environ.get("MPLBACKEND", "Agg"),
        "PYTHONUNBUFFERED": "1",
    }
    if precision == "float32":
        # GPUs multiply float32 in 10 bits of mantissa where they are not told otherwise.
        own |= {"JAX_DEFAULT_MATMUL_PRECISION": "float32", "NVIDIA_TF32_OVERRIDE": "0"}
    return {**os.environ, **own}


def _end(processes):
    processes = list(processes)
    for process in processes:
        process.terminate()
    last = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.1, last - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
