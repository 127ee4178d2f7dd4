"""Many trainings of networks of the zoo, some side by side, each a process of its own."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from training import data
from training.errors import UserError
from training.jobs.board import Board
from training.provenance import ROOT, cores
from training.settings import Settings

# TensorFlow trains the small networks a tenth faster with it.
STEPS_PER_EXECUTION = 10


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        label: what it is called in tables.
        name: the network's name in the zoo.
        seed: of the initial weights, the order of the images and the dropout.
        path: its folder.
        arguments: builder arguments that replace the name's.
        dataset: what it is trained on.
        recipe: name of its recipe.
        how: options of `training.fit` that are its own, such as {"steps": "poisson(2)"}.
    """

    label: str
    name: str
    seed: int
    path: Path
    arguments: dict = dataclasses.field(default_factory=dict, hash=False)
    dataset: str = "cifar10"
    recipe: str | None = None
    how: dict = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self):
        return f"{self.label} seed {self.seed}"

    @property
    def metrics(self):
        """What it measured, a dict; None before its end."""
        try:
            return json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def command(self, a):
        """The command line that trains it, or goes on with it."""
        command = [sys.executable, "-m", "training.fit", self.name]
        command.append("--end-with-parent")
        if self.recipe:
            command.append(f"--recipe={self.recipe}")
        command += [f"--seed={self.seed}", f"--epochs={a.epochs}", f"--precision={a.precision}"]
        command += [f"--out={self.path.resolve()}", f"--steps-per-execution={STEPS_PER_EXECUTION}"]
        if a.data_dir:
            command.append(f"--data-dir={a.data_dir.expanduser().resolve()}")
        if a.limit:
            command += [f"--limit={a.limit}", f"--eval-limit={a.limit}"]
        if precise := getattr(a, "precise_bn", 0):
            command.append(f"--precise-bn={precise}")
        if self.arguments:
            values = [f"{key}={json.dumps(value)}" for key, value in self.arguments.items()]
            command += ["--model-arguments", *values]
        return [*command, *(f"--{option}={value}" for option, value in self.how.items())]

    def differs(self, settings, a):
        """In which settings it is not what `a` asks for: {key: (found, asked)}.

        All are compared but for the backend: its recipe may have changed since.
        """
        from training.fit import loop as fit  # Keras, which takes seconds.

        asked = fit.settings_of(fit.arguments(self.command(a)[3:]), self.name, settings["tag"])
        # Which one is automatic is not for this machine to say of another's.
        automatic = a.precision == "auto" and "precision" not in self.how
        ignoring = ("backend", "precision") if automatic else ("backend",)
        return Settings.of(settings).differences(asked, ignoring)

    def is_finished(self, a):
        """Whether it has reached its end.

        Raises:
            UserError: it did with other settings than `a` asks for.
        """
        metrics = self.metrics
        if metrics is None:
            return False
        for key, (found, asked) in self.differs(metrics["settings"], a).items():
            raise UserError(
                f"{self.path} holds a training with {key} {found!r}, not {asked!r}: "
                "give another --out."
            )
        return True


def train(runs, a):
    """Trains what is not finished, `a.jobs` trainings at a time.

    Args:
        runs: list of `Run`, begun in this order.
        a: arguments `jobs`, `epochs`, `data_dir`, `limit`, `precision`.

    Returns:
        The trainings that failed, a list of (`Run`, the last line that it wrote).
    """
    pending = [run for run in runs if not run.is_finished(a)]
    if not pending:
        return []
    # One sentence here, not one a training.
    data.load(pending[0].dataset, "train", a.data_dir, limit=1)
    board = Board(len(runs), len(runs) - len(pending))
    processes, failed, stop = set(), [], threading.Event()

    def work(run):
        if stop.is_set():
            return
        process = subprocess.Popen(
            run.command(a),
            cwd=ROOT,
            env=environment(max(1, cores() // a.jobs)),
            stdin=subprocess.PIPE,  # Closes when this process ends, and the training ends too.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        processes.add(process)
        board.begin(str(run))
        last = ""
        for line in process.stderr:
            last = line.strip() or last
            board.tell(str(run), last)
        code = process.wait()
        processes.discard(process)
        if code and not stop.is_set():
            failed.append((run, last))
        board.end(str(run), last if code else None)

    pool = ThreadPoolExecutor(a.jobs)
    try:
        for future in [pool.submit(work, run) for run in pending]:
            future.result()
    finally:
        # After Ctrl-C too: each training keeps its whole epochs.
        stop.set()
        for process in list(processes):
            process.terminate()
        pool.shutdown()
        board.close()
    return failed


def environment(threads):
    """Environment variables of a training that computes with so many threads.

    OMP_NUM_THREADS counts where it is set: threads that wait for one another are slow on cores that
    others use, too.
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
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own}
