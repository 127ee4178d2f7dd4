"""Recipes: all that a training needs to be done again, one short file each.

    python -m training.fit cifar_medium --recipe cifar_tables --data-dir DIR

A recipe is data. Its docstring states the paper, the command, the hardware, the time and the
measured accuracy; the rest of the file is

    NAMES      names of the zoo that it trains, in order of value
    DATASET    the data set, a name that `training.data` knows
    SETTINGS   options of `training.fit` without their dashes, and their values
    SEEDS      how many trainings of each name make its row of results

and, where they are not as said here,

    TAG        what the row is called after, DATASET
    WEIGHTS    whether weights are filed, True; else only results and logs are
    BEST_EPOCH whether the best epoch's accuracy, which the paper printed, is filed too, False
    PENDING    whether `training.pending` trains it, True
    CALLBACKS  classes of `training.fit.watchers` that write or measure more, ("training.…",), ()

What is not in SETTINGS is `training.fit`'s default; what the command line says wins.
"""

import dataclasses
import importlib
import pkgutil

from training.errors import UserError, nearest

# In order of value: `training.pending` trains what is at the front first. The claim that recurrence
# adds accuracy and no parameter comes before the tables of the parameter savers, these before the
# networks initialised by theory, and what has been shown on another data set comes last.
ORDER = (
    "deep_thinking",
    "mazes",
    "vanderpol_rnn",
    "duffing_rnn",
    "tiny_imagenet80_vit",
    "tiny_imagenet80_vit_plus",
    "cifar_tables",
    "shared_resnet",
    "lenet5",
    "lenet5_original",
    "highway_mnist",
    "imdb",
    "cifar_resnet",
    "cifar16",
    "mnist_dense",
    "mnist_resnet50",
    "cifar10_vit",
    "cifar10_vit_plus",
    "tiny_imagenet40_vit",
    "tiny_imagenet40_cifar_net",
    "cifar10_nin",
    "moving_mnist",
    "deepen",
    "fold",
    "imagenet_t2t_vit",
)
REQUIRED = {"NAMES": tuple, "DATASET": str, "SETTINGS": dict, "SEEDS": int}
OPTIONAL = {"TAG": str, "WEIGHTS": bool, "BEST_EPOCH": bool, "PENDING": bool, "CALLBACKS": tuple}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One file of this folder; the attributes are those that the module's docstring tells."""

    name: str
    names: tuple
    dataset: str
    settings: dict = dataclasses.field(hash=False)
    seeds: int
    tag: str
    weights: bool = True
    best_epoch: bool = False
    pending: bool = True
    callbacks: tuple = ()


def available():
    """Names of the recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name):
    """Reads a recipe.

    Args:
        name: its file's name without ".py".

    Raises:
        UserError: there is no such recipe, or it is not as the module's docstring says.
    """
    known = available()
    if name not in known:
        raise UserError(
            f"there is no recipe {name!r}.{nearest(name, known)} The recipes are: "
            f"{', '.join(known)}."
        )
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except Exception as error:
        raise UserError(f"the recipe {name!r} does not run as Python ({error}).") from None
    kinds = REQUIRED | OPTIONAL
    found = {key: value for key, value in vars(module).items() if key.isupper()}
    for key in found:
        if key not in kinds:
            raise UserError(
                f"the recipe {name!r} has {key}, which no recipe has.{nearest(key, kinds)}"
            )
    for key, kind in kinds.items():
        if key in REQUIRED and key not in found:
            raise UserError(f"the recipe {name!r} has no {key}.")
        if key in found and type(found[key]) is not kind:
            raise UserError(
                f"the recipe {name!r} must have {key} of the type {kind.__name__}, found "
                f"{found[key]!r}."
            )
    if found["SEEDS"] < 1:
        raise UserError(f"the recipe {name!r} must have SEEDS of at least 1.")
    found.setdefault("TAG", found["DATASET"])
    return Recipe(name, **{key.lower(): value for key, value in found.items()})


def callbacks(name):
    """The classes that a recipe names, a list; empty without a recipe.

    Raises:
        UserError: there is no such class.
    """
    found = []
    for path in load(name).callbacks if name else ():
        try:
            module, _, kind = path.rpartition(".")
            found.append(getattr(importlib.import_module(module), kind))
        except (ImportError, AttributeError, ValueError):
            raise UserError(
                f"the recipe {name!r} has {path!r} in CALLBACKS, which there is not."
            ) from None
    return found


def in_order():
    """All recipes, in order of value; those that `ORDER` does not name come last."""
    names = [*ORDER, *(name for name in available() if name not in ORDER)]
    return [load(name) for name in names if name in available()]


def apply(parser, recipe):
    """Makes a recipe's values the defaults of a command line.

    Args:
        parser: the parser of `training.fit`, or one with more options.
        recipe: a `Recipe`.

    Raises:
        UserError: it sets an option that there is not, or a value that the option does not take.
    """
    actions = {s[2:]: action for action in parser._actions for s in action.option_strings}
    settings = {"dataset": recipe.dataset, **recipe.settings}
    for option, value in settings.items():
        if option not in actions or option in ("help", "recipe"):
            raise UserError(
                f"the recipe {recipe.name!r} sets {option!r}, which training.fit has no option for."
                f"{nearest(option, actions)}"
            )
        action = actions[option]
        parser.set_defaults(**{action.dest: _value(action, option, value, recipe)})
        action.required = False


def _value(action, option, value, recipe):
    """The value as the command line would have made it."""
    try:
        if action.nargs == 0:  # A switch.
            fine = isinstance(value, bool)
        elif action.nargs == "*":
            fine = isinstance(value, list)
        else:
            value = (action.type or str)(str(value))
            fine = action.choices is None or value in action.choices
    except ValueError:
        fine = False
    if not fine:
        allowed = f": choose from {', '.join(action.choices)}" if action.choices else ""
        raise UserError(
            f"the recipe {recipe.name!r} sets {option!r} to {value!r}, which it cannot be{allowed}."
        )
    return value
