"""Many trainings within a time: some side by side, each a process of its own."""

import dataclasses
import os
import queue
import re
import subprocess
import threading
import time

from training.jobs import many_runs
from training.jobs.board import EPOCH, Board
from training.provenance import ROOT, cores

SPEED = re.compile(r"([\d,]+) (?:images|examples)/s")
# Seconds that a training has to end in order, before it is ended without.
GRACE = 20
# With less than this left no training is begun that would not reach its end.
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


def train(trainings, jobs, rates, deadline=None):
    """Trains what fits in the time, in order of value.

    A training whose estimate does not fit gives way to the next one that does. Where none fits,
    the most valuable is begun all the same: it keeps its whole epochs and goes on next time.

    Args:
        trainings: list of `training.jobs.pending_trainings.Training`, the most valuable first.
        jobs: how many run side by side.
        rates: a `training.jobs.rates.Rates`; it learns from every epoch.
        deadline: of `time.monotonic()`, None for no end.

    Returns:
        An `Outcome`.
    """
    outcome = Outcome(waiting=list(trainings))
    active, events = {}, queue.SimpleQueue()
    board = Board(len(trainings), 0)
    threads = max(1, cores() // min(jobs, max(1, len(trainings))))
    try:
        while True:
            while len(active) < jobs and (training := _next(outcome.waiting, rates, deadline)):
                outcome.waiting.remove(training)
                active[training] = _begin(training, threads, events)
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
                _learn(rates, training, line, active[training])
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


def _next(waiting, rates, deadline):
    """The training to begin now, or None."""
    left = _left(deadline)
    if left is None:
        return waiting[0] if waiting else None
    for training in waiting:
        if rates.seconds(training) <= left:
            return training
    return waiting[0] if waiting and left >= LEAST else None


def _begin(training, threads, events):
    """Begins a training; what it writes becomes events, None at its end."""
    training.path.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        training.command(training.row.place.path),
        cwd=ROOT,
        env=environment(threads, training.arguments_of_fit().precision),
        stdin=subprocess.PIPE,  # Closes when this process ends, and the training ends too.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    process.last_line, process.first_epoch = "", None

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

    Args:
        threads: processor threads that it computes with.
        precision: its `--precision`.
    """
    own = many_runs.environment(threads)
    if precision == "float32":
        # GPUs multiply float32 in 10 bits of mantissa where they are not told otherwise.
        own |= {"JAX_DEFAULT_MATMUL_PRECISION": "float32", "NVIDIA_TF32_OVERRIDE": "0"}
    return {**own, "MPLBACKEND": os.environ.get("MPLBACKEND", "Agg")}


def _learn(rates, training, line, process):
    """Learns from the line at an epoch's end; a process' first epoch compiles, too."""
    epoch, speed = EPOCH.match(line), SPEED.search(line)
    if not (epoch and epoch[3] and speed):
        return
    if process.first_epoch is None:
        process.first_epoch = epoch[1]
    if process.first_epoch != epoch[1] or epoch[1] == epoch[2]:
        rates.learn(training, int(epoch[1]) - 1, float(speed[1].replace(",", "")))


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
