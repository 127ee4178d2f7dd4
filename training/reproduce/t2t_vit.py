"""Table 2 of the recurrence paper: T2T-ViTs whose blocks run once, and several times.

Jiang, Cui, Wang, "Residual network with recurrent structures": on ImageNet 3 blocks have 61.53 %
top-1 and 67.16 % when they run several times, 7 blocks 71.63 and 74.57 %, with no parameter added.
`vit7_rec_plus`, ours, has norms and a learned vector for every step besides. The trainings are
those of `training.pending`, which files them in zoo/logs/trainings.jsonl; this trains nothing. It
compares what is filed, trained alike but for what a recipe of `vit7_rec_plus`' own asks for, which
is told. With --data-dir it compares the zoo's weights, too, image by image.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from keras_recres import zoo
from training import recipes
from training.errors import UserError, output_folder
from training.evaluate import READ_AS
from training.ledger import filed_runs
from training.reproduce import by_image
from training.reproduce.by_image import pending
from training.reproduce.cifar_summary import FINAL, Summary
from training.reproduce.effects import Cells
from training.settings import DEFAULTS

# Each network, and what is to be better than it.
PAPERS = (("vit3", "vit3_rec"), ("vit7", "vit7_rec"))
PAIRS = (*PAPERS, ("vit7_rec", "vit7_rec_plus"))
NAMES = tuple(dict.fromkeys(name for pair in PAIRS for name in pair))
# Those that a recipe of their own may train.
IMPROVED = ("vit7_rec_plus",)
# Settings that may differ between trainings of one table.
OWN = ("name", "seed", "model_arguments")


@dataclasses.dataclass(frozen=True)
class Row:
    """A network and what was measured of it."""

    name: str
    parameters: int
    multiply_adds: int
    printed: float | None
    measured: Summary


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce t2t_vit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.pending --names 'vit*.tiny_imagenet80' --data-dir DIR\n"
        "  python -m training.reproduce t2t_vit\n"
        "  KERAS_BACKEND=torch python -m training.reproduce t2t_vit --tag cifar10_jpeg "
        "--data-dir DIR",
    )
    p.add_argument("--tag", default="tiny_imagenet80", help="data set (default tiny_imagenet80)")
    p.add_argument("--out", type=Path, default=Path("runs/t2t_vit"), help="default runs/t2t_vit")
    p.add_argument("--data-dir", help="evaluate the zoo's weights on the data set that is there")
    p.add_argument("--limit", type=int, help="only on its first so many evaluation images")
    return p


def rows(tag):
    """A `Row` for each network of the table.

    Raises:
        UserError: the networks have no such tag, or what is filed was trained differently.
    """
    from keras_recres.models import multiply_adds

    for name in NAMES:
        if tag not in zoo.info(name).tags:
            known = sorted(set.intersection(*(set(zoo.info(n).tags) for n in NAMES)))
            raise UserError(f"--tag must be one of {', '.join(known)}, found {tag!r}.")
    recipe = {name: _recipe_of(name, tag) for name in NAMES}
    # Other forms and other ways of training than its recipe's are other networks.
    filed = [m for m in filed_runs.of(tag).values() if _is_own(m["settings"], recipe)]
    settings = {n: [m["settings"] for m in filed if m["settings"]["name"] == n] for n in NAMES}
    for name in NAMES:
        _check_alike(settings[name])
    for one, other in PAIRS:
        _check_alike(settings[one] + settings[other], _asked_otherwise(recipe[one], recipe[other]))
    found = []
    for name in NAMES:
        own = {m["settings"]["seed"]: m for m in filed if m["settings"]["name"] == name}
        model, info = zoo.build(name, tag=tag), zoo.info(name)
        counts = (model.count_params(), multiply_adds(model).total)
        found.append(Row(name, *counts, info.paper.printed, Summary(name, own)))
    return found


def _recipe_of(name, tag):
    dataset = READ_AS.get(tag, tag)
    return next((r for r in recipes.in_order() if name in r.names and r.dataset == dataset), None)


def _asked_otherwise(one, other):
    """Settings in which two recipes differ."""
    one, other = (recipe.settings if recipe else {} for recipe in (one, other))
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return [key.replace("-", "_") for key in keys]


def _is_own(settings, recipe):
    if settings["name"] not in recipe or settings.get("model_arguments"):
        return False
    own = recipe[settings["name"]]
    asked = {key.replace("-", "_"): value for key, value in own.settings.items()} if own else {}
    # Defaults are not told in the settings of trainings.
    return all(
        settings.get(key, DEFAULTS[key]) == asked.get(key, DEFAULTS[key]) for key in filed_runs.HOW
    )


def _check_alike(found, may_differ=()):
    """Raises a UserError for settings that differ in more than network, seed and these."""
    for one, other, key in differences(found):
        if key not in may_differ:
            raise UserError(
                f"{one['name']} and {other['name']} can't be compared: they were trained with "
                f"{key} {one.get(key)!r} and {other.get(key)!r}."
            )


def differences(found):
    """Of a list of settings those that differ from the first: (the first, the other, key)."""
    for other in found[1:]:
        for key in sorted((found[0].keys() | other.keys()) - set(OWN)):
            if found[0].get(key) != other.get(key):
                yield found[0], other, key


def cells_of(table, names=NAMES):
    """The `Cells` of the table's networks."""
    return Cells({row.name: row.measured.values(FINAL) for row in table if row.name in names})


def claims(table):
    """What the trainings say of each pair, a list of (plain, recurrent, `Effect`).

    The paper's four networks tell the spread of their seeds; what they are compared with besides
    tells its own, too.
    """
    of = {row.name: row for row in table}
    papers, all_cells = cells_of(table, sum(PAPERS, ())), cells_of(table)
    return [
        (
            of[plain],
            of[recurrent],
            (papers if (plain, recurrent) in PAPERS else all_cells).difference(recurrent, plain),
        )
        for plain, recurrent in PAIRS
    ]


def together(table):
    """The mean of the differences that recurrence makes in the paper's two pairs, an `Effect`."""
    pairs = [(recurrent, plain) for plain, recurrent in PAPERS]
    return cells_of(table, sum(PAPERS, ())).mean_difference(pairs)


def todo(table, tag):
    """The command that trains the networks of the table that are not, "" if all are."""
    absent = [f"{row.name}.{tag}" for row in table if not row.measured.metrics]
    return pending(absent) if absent else ""


def settings_of(row):
    """Those of a network's trainings, None where there are none."""
    return next((metrics["settings"] for metrics in row.measured.metrics.values()), None)


def main(argv=None):
    """The command line."""
    a = parser().parse_args(argv)
    if a.limit is not None and a.limit < 2:
        raise UserError(f"--limit must be at least 2, found {a.limit}.")
    if a.limit is not None and not a.data_dir:
        raise UserError("--limit is for the images of --data-dir: give that, too.")
    table = rows(a.tag)
    output_folder(a.out)
    missing = todo(table, a.tag)
    if not (a.data_dir or any(row.measured.metrics for row in table)):
        raise UserError(f"none of the networks is trained on {a.tag} yet: {missing}")
    said = []
    if a.data_dir:
        found = by_image.rights(NAMES, a.tag, a.data_dir, a.limit)
        said = by_image.sentences(PAIRS, found)
    # Rich and Matplotlib take seconds to import: after all that may be refused.
    from training.reproduce import t2t_vit_report

    t2t_vit_report.show(table, said, a.tag, a.out)
    print(f"Written to {a.out}: t2t_vit.md, t2t_vit.png.", file=sys.stderr)
    if missing:
        print(missing, file=sys.stderr)
    return 0
