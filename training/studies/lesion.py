"""Blocks deleted and reordered in a residual and in a plain network, and paths of the gradient.

As in arXiv 1605.06431, on a thousand images of CIFAR-10's test set: the error with each block
deleted, with k blocks deleted at random, with k pairs of blocks of one shape swapped (by Kendall's
τ of the order), ten draws each; and how the gradient of 32 images falls with the length of its
paths. The residual network has pre-activation units and 56 layers; the plain one has 20, since one
of 56 hardly trains, and its blocks are single layers. Nothing is deleted where the shape changes.

The networks are those of the studies `shortcuts` (full) and `degradation` (plain20), whose folders
are looked for beside --out: what is not trained there yet is trained there.
"""

import csv
import dataclasses
import json
import statistics

import numpy as np
from scipy import stats

from training.files import write_aside
from training.studies import cifar16, drawings
from training.studies.effects import Cells, Effect
from training.studies.forms import columns

RESIDUAL, PLAIN = "residual", "plain"
COUNTS, DRAWS = (1, 2, 3, 5, 7, 10, 15), 10
FIVE = COUNTS.index(5)
EXAMPLES = 32  # Of the gradient by paths.
KEPT = "lesion.json"


class Lesion(cifar16.Probed):
    examples = ("--data-dir DIR", "--data-dir DIR --seeds 1", "--report")
    common = ("seeds", "epochs", "data-dir", "limit", "precision", "jobs", "report", "out")
    kept = KEPT
    columns = columns(
        "network",
        ("error, %", lambda row: _mean(row, lambda m: m["whole"])),
        ("one block deleted", lambda row: _mean(row, lambda m: m["single"])),
        ("at worst", lambda row: _mean(row, lambda m: m["worst"])),
        ("five deleted", lambda row: _mean(row, lambda m: m["deleted"][FIVE])),
        ("five swaps", lambda row: _mean(row, lambda m: m["swapped"][FIVE])),
        "seeds",
    )

    def title(self, a):
        return "CIFAR-10 at 16 x 16 pixels, mean error with blocks deleted or swapped"

    def forms(self, a):
        of_shortcuts, of_degradation = (
            a.out.resolve().parent / path for path in ("shortcuts/full", "degradation/plain20")
        )
        fewer = {"epochs": min(cifar16.FEWER, a.epochs)}
        preact = cifar16.preact(RESIDUAL, "pre-activation, 56 layers", folder=of_shortcuts)
        plain = cifar16.form(PLAIN, "cifar_plain20", "plain, 20 layers", folder=of_degradation)
        return [dataclasses.replace(preact, how=fewer), plain]

    def measure(self, model, x, labels, path):
        from keras_recres import models, probes

        residual = any(run.residual for run in models.blocks(model))
        blocks = None if residual else "stage*"
        single, deleted, swapped = (
            probes.lesion(model, x, labels, blocks=blocks, repeats=DRAWS, **how)
            for how in ({}, {"delete": COUNTS}, {"reorder": COUNTS})
        )
        for kind, record in (("single", single), ("deleted", deleted), ("swapped", swapped)):
            record.to_csv(path / f"lesion_{kind}.csv")
        found = {
            "whole": 100 * (1 - single.accuracy),
            "single": float(_errors(single).mean()),
            "worst": float(_errors(single).max()),
            "deleted": _errors(deleted).reshape(len(COUNTS), DRAWS).mean(1).tolist(),
            "swapped": _errors(swapped).reshape(len(COUNTS), DRAWS).mean(1).tolist(),
        }
        taus = [row.kendall_tau for row in swapped.rows[1:]]
        found["correlation"] = float(stats.spearmanr(taus, _errors(swapped)).statistic)
        if residual:
            record = probes.paths(model, x[:EXAMPLES], labels[:EXAMPLES], repeats=DRAWS)
            record.to_csv(path / "lesion_paths.csv")
            there = record.gradient > 0
            slope = np.polyfit(record.lengths[there], np.log10(record.gradient[there]), 1)[0]
            found |= {
                "units": len(record.names),
                "effective": record.effective(),
                "decades": float(slope),
            }
        write_aside(path / KEPT, json.dumps(found, indent=1) + "\n")

    def claims(self, table, a):
        for what, rise in (
            ("One block deleted", lambda m: m["single"] - m["whole"]),
            ("Five blocks deleted", lambda m: m["deleted"][FIVE] - m["whole"]),
            ("Five pairs of blocks swapped", lambda m: m["swapped"][FIVE] - m["whole"]),
        ):
            rises = {
                label: {seed: rise(m) for seed, m in _measured(row).items()}
                for label, row in table.items()
            }
            what = f"{what}, the plain network against the residual one"
            effect = Cells(rises).difference(PLAIN, RESIDUAL)
            yield what, effect, "points of error", "costs more", "costs less"
        for row in table.values():
            yield from _by_number(row)
        if RESIDUAL in table:
            yield from _by_length(table[RESIDUAL])

    def draw(self, table, path, a):
        """Error by block, by their number, by Kendall's τ; share of the gradient by length."""
        with drawings.figure(path, (17, 4), 1, 4) as (_, panels):
            for colour, row in zip(("C0", "C1"), table.values(), strict=False):
                for run in row.runs:
                    how = {"color": colour, "label": None if run.seed else row.form.what}
                    _draw_errors(panels, run, how)
                    if lines := _lines(run, "paths"):
                        length, paths, share = _columns(lines, "length", "paths", "contribution")
                        panels[3].plot(length, share, **how)
                        panels[3].plot(length, paths, "--", color="grey")
            for axes, label in zip(
                panels,
                ("the block deleted, first to last", "blocks deleted", "Kendall's τ of the order"),
                strict=False,
            ):
                axes.set(xlabel=label, ylabel="error, %")
            panels[2].invert_xaxis()
            panels[3].set(xlabel="length of paths, units", ylabel="share of the gradient, of paths")
            for axes in panels:
                axes.grid(alpha=0.3)
            panels[0].legend(frameon=False)


def _errors(record):
    """Errors in percent of all changes of a `LesionRecord`."""
    return np.array([100 * (1 - row.accuracy) for row in record.rows[1:]])


def _measured(row):
    """{seed: what `Lesion.measure` kept} of a form."""
    files = {run.seed: run.path / KEPT for run in row.runs}
    return {s: json.loads(file.read_text("utf-8")) for s, file in files.items() if file.exists()}


def _mean(row, number):
    values = [number(m) for m in _measured(row).values()]
    return f"{statistics.mean(values):.1f}" if values else ""


def _by_number(row):
    """Sentences on the error of a form by the number of blocks deleted, and by their order."""
    if measured := list(_measured(row).values()):
        errors = np.mean([[m["whole"], *m["deleted"]] for m in measured], axis=0)
        correlation = np.mean([m["correlation"] for m in measured])
        yield (
            f"{row.form.what}: with {', '.join(map(str, (0, *COUNTS)))} blocks deleted the mean "
            f"error is {', '.join(f'{error:.1f}' for error in errors)} %; with pairs swapped its "
            f"rank correlation with Kendall's τ is {correlation:.2f}, {len(COUNTS) * DRAWS} draws "
            f"a seed, {len(measured)} seed{'s' if len(measured) > 1 else ''}."
        )


def _by_length(row):
    """Claims on the gradient of a residual network by the length of paths."""
    measured = [m for m in _measured(row).values() if "decades" in m]
    if not measured:
        return
    decades = [m["decades"] for m in measured]
    few = len(decades) < 2
    error = None if few else statistics.stdev(decades) / len(decades) ** 0.5
    effect = Effect(statistics.mean(decades), error, len(decades) - 1, len(decades))
    what = "Gradient of a path, with one unit more"
    yield what, effect, "decades of its norm", "larger", "smaller"
    lengths = " and ".join(f"{low} to {high}" for low, high in (m["effective"] for m in measured))
    units = measured[0]["units"]
    yield (
        f"Of {units} units 95 % of the gradient comes through {lengths} (by seed), where half of "
        f"all paths pass {(units + 1) // 2} or more."
    )


def _lines(run, kind):
    """The lines of what was measured of a training, dicts of str; [] where it was not."""
    file = run.path / f"lesion_{kind}.csv"
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def _columns(lines, *keys):
    return np.array([[float(line[key]) for line in lines] for key in keys])


def _draw_errors(panels, run, how):
    """Draws errors of a training; the first line of each table is the whole network."""
    for axes, kind, key in zip(
        panels, ("single", "deleted", "swapped"), (None, "count", "kendall_tau"), strict=False
    ):
        if lines := _lines(run, kind)[1:]:
            if key is None:
                (error,) = _columns(lines, "error_percent")
                axes.plot(np.linspace(0, 1, len(error)), error, **how)
                continue
            x, error = _columns(lines, key, "error_percent")
            axes.plot(x, error, ".", alpha=0.5, color=how["color"])
            if key == "count":
                axes.plot(COUNTS, np.median(error.reshape(len(COUNTS), DRAWS), axis=1), **how)


STUDY = Lesion()
