"""Which weights to start from: a few photographs of classes that no training has seen.

The networks of tiny_imagenet40, the even classes of Tiny ImageNet's first 80, are fine-tuned on the
odd ones, 64 x 64 pixels, by `zoo.fine_tune`: from scratch, from their weights of CIFAR-10, which is
of 32 x 32 pixels, and from those of the even classes. Accuracy is measured on all validation images
of the odd classes. The weights are the zoo's; a start whose weights are missing is left out.
"""

import dataclasses
import json
import sys
from pathlib import Path

from training import data
from training.errors import output_folder
from training.files import write_aside
from training.ledger.summary import Summary
from training.recipes import load as recipe_of
from training.studies.forms import Form, Table, columns
from training.studies.study import LEAST, Study

TAG, ODD, SCRATCH = "tiny_imagenet40", "tiny_imagenet40_odd", "scratch"
STARTS = (SCRATCH, "cifar10_jpeg", TAG)
NAMES = tuple(
    name for recipe in ("vit", "cifar_net") for name in recipe_of(f"{TAG}_{recipe}").names
)
SHAPE, CLASSES = data.DATA_SETS[ODD].shape, data.DATA_SETS[ODD].classes
METRIC = "accuracy"


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """One fine-tuning: of which network, from which weights, and where its record is."""

    label: str
    name: str
    start: str
    seed: int
    path: Path

    @property
    def metrics(self):
        """{"accuracy": ...} of one that is finished, else None."""
        if not self.path.exists():
            return None
        return {METRIC: json.loads(self.path.read_text(encoding="utf-8"))["top1_percent"] / 100}


class Transfer(Study):
    examples = ("--data-dir DIR", "--data-dir DIR --names vit3_rec --seeds 1")
    common = ("seeds", "epochs", "data-dir", "report", "out")
    seeds, epochs, endings = 2, 20, ()
    least = LEAST | {"images": 1}
    columns = columns(
        "network and start",
        ("top-1, %", lambda row: row.measured.text(METRIC) or "pending"),
        "seeds",
    )

    def options(self, p):
        p.add_argument("--names", nargs="+", choices=NAMES, default=[*NAMES], help="default all")
        p.add_argument("--starts", nargs="+", choices=STARTS, default=[*STARTS], help="default all")
        p.add_argument("--images", type=int, default=25, help="of each class (default 25)")

    def title(self, a):
        return f"{a.images} photographs of each of {CLASSES} classes, {a.epochs} epochs"

    def forms(self, a):
        """Those whose weights the zoo has."""
        return [
            Form(f"{name} from {start}", name, arguments={"start": start})
            for name in a.names
            for start in a.starts
            if _has(name, start)
        ]

    def run(self, form, seed, a):
        start = form.arguments["start"]
        folder = a.out / f"images-{a.images}-epochs-{a.epochs}"
        path = folder / f"{form.name}.{start}.{seed}.json"
        return FineTuning(form.label, form.name, start, seed, path)

    def train(self, runs, a):
        missing = [run for run in runs if run.metrics is None]
        folder = photographs(a) if missing else None
        for run in missing:
            print(f"{run.name} from {run.start}, seed {run.seed}", file=sys.stderr)
            fine_tune(run, folder, a)

    def table(self, runs, a):
        forms, done = self.forms(a), [run for run in runs if run.metrics]
        of = {
            form.label: {r.seed: r.metrics for r in done if r.label == form.label} for form in forms
        }
        return Table(forms, [Summary(*pair) for pair in of.items()], key=METRIC)

    def claims(self, table, a):
        for label, row in table.items():
            if row.form.arguments["start"] != SCRATCH:
                yield (
                    f"{label} instead of {SCRATCH}",
                    row.against(f"{row.form.name} from {SCRATCH}"),
                )
        for name in a.names:
            for start in a.starts:
                if not _has(name, start):
                    yield f"{name} has no weights of {start} yet."

    def notes(self, table, a):
        return []


def _has(name, start):
    from keras_recres import zoo

    return start == SCRATCH or start in zoo.info(name).trained_tags


def photographs(a):
    """A folder with train/ and val/ as `zoo.fine_tune` reads them, the files as they are stored."""
    folder = a.out / f"photographs-{a.images}"
    output_folder(a.out)
    for part, split, limit in (("train", "train", a.images), ("val", "evaluation", None)):
        read_in = data.read_encoded(ODD, split, a.data_dir)
        seen = dict.fromkeys(read_in.class_names, 0)
        for image, label in zip(read_in.data, read_in.labels, strict=True):
            name = read_in.class_names[label]
            seen[name] += 1
            if limit is None or seen[name] <= limit:
                file = folder / part / name / f"{seen[name]}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(image)
    return folder


def fine_tune(run, folder, a):
    """Fine-tunes a network and writes its record."""
    from keras_recres import zoo

    if run.start == SCRATCH:
        model = zoo.build(run.name, tag=TAG, num_classes=CLASSES)
    else:
        model = zoo.load(run.name, run.start, num_classes=CLASSES, input_shape=SHAPE)
    # All layers of an untrained network learn from the first epoch on.
    frozen = {"freeze_epochs": 0} if run.start == SCRATCH else {}
    _, record = zoo.fine_tune(model, folder, epochs=a.epochs, seed=run.seed, augment=True, **frozen)
    if record["interrupted"]:
        raise KeyboardInterrupt
    run.path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(run.path, json.dumps(record, indent=1))


STUDY = Transfer()
