"""Measures weights on the split that accuracy is reported on, and files finished runs in the zoo.

    python -m training.evaluate vit3_rec --data-dir DIR            measure the zoo's weights
    python -m training.evaluate --record runs/a runs/b runs/c      file runs of training.fit
    python -m training.evaluate --readme                           renew the tables of results

Nothing is typed: a row of zoo/results.csv comes from the metrics.json of runs.
"""

import argparse
import sys
from pathlib import Path

import keras

from keras_recres import zoo
from keras_recres.zoo import evaluation, loading, registry
from keras_recres.zoo.tfds_folder import original
from training import data, errors
from training.console import progress_bar
from training.errors import UserError
from training.fit.models import record_of
from training.ledger.filing import write_readme
from training.ledger.recording import record


def measure(
    name,
    tag=None,
    data_dir=None,
    dataset=None,
    split="evaluation",
    weights=None,
    limit=None,
    batch_size=128,
):
    """Measures a model's top-1 accuracy and cross-entropy on a data set.

    Images go through `model.preprocess`, exactly as a user's would.

    Args:
        name: a name of the zoo, or "name.tag".
        tag: which of its weights; None for the default.
        data_dir: where the data set is, see `training.data.load`.
        dataset: another data set of the same classes; None for the one of the tag.
        split: the split, "evaluation" for the one that accuracy is reported on.
        weights: a .weights.h5 file instead of the zoo's weights; the tag is that of its name, if
            it says one.
        limit: only the first so many images.
        batch_size: images a batch.

    Returns:
        dict with `name`, `tag`, `dataset` (its tag: what was really read), `split`, `images`,
        `top1_percent`, `standard_error_percent`, `loss`, `seconds`, `images_per_second`.
    """
    known = record_of(name)
    try:
        if weights is None or not loading.tag_of_file(known, weights):
            tag = tag or known.default_tag
        full = f"{known.name}.{tag}" if tag else known.name
        model = zoo.load(full, weights="default" if weights is None else Path(weights))
    except registry.Untrained as error:
        raise UserError(f"{error.what}: give --weights FILE.") from None
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    tag = model.zoo_tag
    if dataset is None:
        if tag is None:
            raise UserError(f"{weights} does not say what it was trained on: give --tag.")
        dataset = known.tags[tag].dataset
    split = data.read_encoded(original(dataset), split, data_dir, limit)
    with progress_bar(f"measuring {full}", len(split.data)) as advance:
        try:
            measured = evaluation.measure(model, split, batch_size, advance)
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from None
    return {"name": known.name, "tag": tag, **measured}


def main(argv=None):
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Measure weights of the zoo, or file finished runs of training.fit in it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.evaluate vit3_rec --data-dir DIR\n"
        "  python -m training.evaluate vit3.cifar10_jpeg --data-dir DIR "
        "--dataset cifar10_lossless_part\n"
        "  python -m training.evaluate --record runs/vit3.mnist.0 runs/vit3.mnist.1 --readme",
    )
    p.add_argument("name", nargs="?", help="a name of the zoo, or name.tag")
    p.add_argument("--tag", help="which weights; default the name's default tag")
    p.add_argument("--data-dir", help="folder with NAME/VERSION, or a packed .npz file")
    p.add_argument("--dataset", help="another data set of the same classes")
    p.add_argument("--split", default="evaluation", help="default the one to report on")
    p.add_argument("--weights", help="a .weights.h5 file instead of the zoo's weights")
    p.add_argument("--limit", type=int, help="only the first so many images")
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--record", nargs="+", metavar="RUN_DIR", help="file runs in zoo/")
    p.add_argument("--note", default="", help="a remark for the row of results")
    p.add_argument(
        "--readme", action="store_true", help="renew the tables of README.md and RESULTS.md"
    )
    a = p.parse_args(argv)
    if bool(a.name) == bool(a.record or a.readme):
        p.error("give a name to measure, or --record, or --readme")
    if a.batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, found {a.batch_size}.")
    if a.limit is not None and a.limit < 1:
        raise UserError(f"--limit must be at least 1, found {a.limit}.")
    if a.record:
        row = record(a.record, a.note)
        spread = f" ± {row['std']}" if row["std"] else ""
        print(f"filed {row['name']}.{row['tag']}: {row['value']}{spread} % top-1, {row['budget']}")
    if a.readme:
        write_readme()
    if a.name:
        m = measure(a.name, a.tag, a.data_dir, a.dataset, a.split, a.weights, a.limit, a.batch_size)
        print(
            f"{m['name']}.{m['tag']}: {m['top1_percent']:.2f} % top-1 (standard error "
            f"{m['standard_error_percent']:.2f}), loss {m['loss']:.4f} on {m['images']:,} "
            f"{m['split']} examples of {m['dataset']}; {m['seconds']:.1f} s, "
            f"{m['images_per_second']:,.0f} examples/s on {keras.backend.backend()}"
        )


if __name__ == "__main__":
    sys.exit(errors.run(main))
