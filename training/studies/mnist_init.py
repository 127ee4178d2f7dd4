"""Initialisation by theory on MNIST: maps of accuracy over depth, and how deep one can go.

Dense residual networks without normalisation (arXiv 1712.08969; slides of G. B. Macedo, 2020) are
trained by plain SGD, briefly and all alike, so that what differs is their initial values.

maps    accuracy over σ_w² (tanh, ReLU), α (α-ReLU) or ρ² (tanh) and the depth, with the level
        curves of the quantity that theory says decides, and its rank correlation with accuracy
limits  `probes.mean_field.suggest` against He's and Glorot's initialisation, 10 to 200 layers

The seven ResNet-50s of the slides are `python -m training.reproduce mnist_resnet50`.
"""

import dataclasses
import sys

from keras_recres.zoo import sources
from training.errors import UserError, nearest
from training.studies.study import LEAST, Study, tell_missing

PARTS = ("maps", "limits")


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be trained: the `Cells` that keep it, the maps' `Grid`s, the limits' networks."""

    cells: object
    maps: list
    limits: dict

    @property
    def stacks(self):
        """What is trained at once, a list of (title, runs, learning rate)."""
        from training.studies import mnist_init_limits

        found = [stack for grid in self.maps for stack in grid.stacks()]
        return found + (mnist_init_limits.stacks(self.limits) if self.limits else [])


class MnistInit(Study):
    examples = ("--data-dir DIR", "--parts limits --seeds 5", "--report --adopt mnist")
    common = ("data-dir", "limit", "report", "adopt", "record", "out")
    filed = "logs/mnist_init"
    least = LEAST | {"steps": 1, "width": 1}

    def options(self, p):
        p.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
        p.add_argument("--seeds", type=int, help="of each network (default 2 maps, 3 limits)")
        p.add_argument("--steps", type=int, default=300, help="SGD steps (default 300)")
        p.add_argument("--width", type=int, default=64, help="neurons a layer (default 64)")

    def check(self, a):
        for part in a.parts.split(","):
            if part not in PARTS:
                raise UserError(
                    f"--parts must be some of {', '.join(PARTS)}, found {part!r}."
                    f"{nearest(part, PARTS)}"
                )
        super().check(a)

    def runs(self, a):
        # Matplotlib and rich take seconds to import: after the arguments are known to be good.
        from training.studies import mnist_init_limits, mnist_init_report
        from training.studies.mnist_init_cells import Cells
        from training.studies.mnist_init_maps import MAPS

        parts = a.parts.split(",")
        return Work(
            Cells(a.out, self.settings(a)),
            mnist_init_report.grids(MAPS, a.seeds or 2) if "maps" in parts else [],
            mnist_init_limits.grid(a.seeds or 3, a.width) if "limits" in parts else {},
        )

    def settings(self, a):
        """What all trainings share."""
        return {"width": a.width, "steps": a.steps, "limit": a.limit}

    def kept(self, a):
        """The `Cells` of what is filed."""
        from training.studies.mnist_init_cells import Cells

        return Cells(sources.data_folder() / self.filed, self.settings(a))

    def adopt(self, work, a):
        if a.adopt != "mnist":
            raise UserError(f"--adopt {a.adopt}: zoo/{self.filed} has trainings on 'mnist' alone.")
        return work.cells.adopt(self.kept(a))

    def file(self, work, a):
        return [f"{self.kept(a).adopt(work.cells)} networks filed in zoo/{self.filed}."]

    def report(self, work, a):
        trained = [work.cells.get(run, rate) for _, runs, rate in work.stacks for run in runs]
        tell_missing(trained.count(None), len(trained), a)

    def train(self, work, a):
        train(work.stacks, work.cells, a)

    def tell(self, work, a):
        from training.studies import mnist_init_limits, mnist_init_report

        if work.maps:
            mnist_init_report.maps(work.maps, work.cells, a)
        if work.limits:
            mnist_init_limits.show(work.limits, work.cells, a)


def train(stacks, cells, a):
    """Trains what `cells` does not have.

    Args:
        stacks: list of (title, runs, learning rate).
        cells: `Cells`, which gets what was measured.
        a: arguments `data_dir`, `limit`, `width`, `steps`.
    """
    from training.studies import mnist_init_nets
    from training.studies.progress import progress as bar

    pending = []
    for title, runs, rate in stacks:
        missing = [run for run in runs if cells.get(run, rate) is None]
        if missing:
            pending.append((title, missing, rate))
    if not pending:
        return
    data = mnist_init_nets.standardized(a.data_dir, a.limit, a.limit)
    # Work is layers times networks; a layer of an FRN has two products.
    work = [sum((1 + (run.kind == "frn")) * run.depth for run in runs) for _, runs, _ in pending]
    with bar(sum(work), "layers") as progress:
        for (title, runs, rate), amount in zip(pending, work, strict=True):
            progress.describe(f"{title}, {len(runs)} networks of {runs[0].depth} layers")
            cells.add(runs, rate, mnist_init_nets.train(runs, data, a.width, a.steps, rate))
            progress.advance(amount)
    print(f"All trainings are in {cells.path}.", file=sys.stderr)


STUDY = MnistInit()
