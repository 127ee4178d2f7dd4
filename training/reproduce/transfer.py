"""Which weights to start from: a few photographs of classes that no training has seen.

The networks of tiny_imagenet40, the even classes of Tiny ImageNet's first 80, are fine-tuned on the
odd ones, 64 x 64 pixels, by `zoo.fine_tune`: from scratch, from their weights of CIFAR-10, which is
of 32 x 32 pixels, and from those of the even classes. Accuracy is measured on all validation images
of the odd classes. The weights are the zoo's; a start whose weights are missing is left out.
"""

import argparse
import json
import sys
from pathlib import Path

from training import data
from training.errors import UserError, output_folder
from training.fit.run_folder import write_aside
from training.recipes import load as recipe_of
from training.reproduce import cifar_tables, tables
from training.reproduce.cifar_summary import Summary
from training.reproduce.effects import Cells, sentence

TAG, ODD, SCRATCH = "tiny_imagenet40", "tiny_imagenet40_odd", "scratch"
STARTS = (SCRATCH, "cifar10_jpeg", TAG)
NAMES = tuple(
    name for recipe in ("vit", "cifar_net") for name in recipe_of(f"{TAG}_{recipe}").names
)
SHAPE, CLASSES = data.DATA_SETS[ODD].shape, data.DATA_SETS[ODD].classes
METRIC = "accuracy"


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  KERAS_BACKEND=torch python -m training.reproduce transfer --data-dir DIR\n"
        "  python -m training.reproduce transfer --data-dir DIR --names vit3_rec --seeds 1\n\n"
        "Give the same command again to go on.",
    )
    p.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES), help="default all")
    p.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS), help="default all")
    p.add_argument("--images", type=int, default=25, help="of each class to learn (default 25)")
    p.add_argument("--seeds", type=int, default=2, help="of each network and start (default 2)")
    p.add_argument("--epochs", type=int, default=20, help="default 20")
    p.add_argument("--data-dir", type=Path, help="folder with NAME/VERSION, or a packed .npz")
    p.add_argument("--report", action="store_true", help="train nothing, only tell what is there")
    p.add_argument("--out", type=Path, default=Path("runs/transfer"), help="default runs/transfer")
    return p


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    for option in ("seeds", "epochs", "images"):
        if getattr(a, option) < 1:
            raise UserError(f"--{option} must be at least 1, found {getattr(a, option)}.")
    known = {name: starts_of(name, a.starts) for name in a.names}
    jobs = [(n, start, seed) for seed in range(a.seeds) for n in a.names for start in known[n]]
    missing = [job for job in jobs if not file_of(a, *job).exists()]
    if a.report:
        cifar_tables.tell_missing(len(missing), len(jobs), a)
    elif missing:
        folder = photographs(a)
        for name, start, seed in missing:
            print(f"{name} from {start}, seed {seed}", file=sys.stderr)
            fine_tuned(name, start, seed, folder, a)
    summaries = [
        Summary(f"{name} from {start}", read(a, name, start))
        for name in a.names
        for start in known[name]
    ]
    rows = [(s.label, s.text(METRIC) or "pending", str(len(s.metrics) or "")) for s in summaries]
    cells = Cells({s.label: s.values(METRIC) for s in summaries})
    said = [
        sentence(f"{label} instead of {SCRATCH}", cells.difference(label, f"{name} from {SCRATCH}"))
        for name in a.names
        for label in (f"{name} from {start}" for start in known[name] if start != SCRATCH)
    ]
    said += [
        f"{name} has no weights of {start} yet."
        for name in a.names
        for start in a.starts
        if start not in known[name]
    ]
    title = f"{a.images} photographs of each of {CLASSES} classes, {a.epochs} epochs"
    columns = ("network and start", "top-1, %", "seeds")
    tables.publish(title, columns, rows, said, a.out / "transfer.md")
    print(f"Written to {a.out}: transfer.md.", file=sys.stderr)
    return 0


def starts_of(name, starts):
    """Those of the starts whose weights the zoo has."""
    from keras_recres import zoo

    return [s for s in starts if s == SCRATCH or s in zoo.info(name).trained_tags]


def file_of(a, name, start, seed):
    """Where a fine-tuning's record is."""
    return a.out / f"images-{a.images}-epochs-{a.epochs}" / f"{name}.{start}.{seed}.json"


def read(a, name, start):
    """{seed: {"accuracy": ...}} of what is finished."""
    files = {seed: file_of(a, name, start, seed) for seed in range(a.seeds)}
    return {
        seed: {METRIC: json.loads(file.read_text(encoding="utf-8"))["top1_percent"] / 100}
        for seed, file in files.items()
        if file.exists()
    }


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


def fine_tuned(name, start, seed, folder, a):
    """Fine-tunes a network and writes its record."""
    from keras_recres import zoo

    if start == SCRATCH:
        model = zoo.build(name, tag=TAG, num_classes=CLASSES)
    else:
        model = zoo.load(name, start, num_classes=CLASSES, input_shape=SHAPE)
    # All layers of an untrained network learn from the first epoch on.
    frozen = {"freeze_epochs": 0} if start == SCRATCH else {}
    _, record = zoo.fine_tune(model, folder, epochs=a.epochs, seed=seed, augment=True, **frozen)
    if record["interrupted"]:
        raise KeyboardInterrupt
    file = file_of(a, name, start, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_aside(file, json.dumps(record, indent=1))
