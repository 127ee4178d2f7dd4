"""The T2T-ViTs that several studies compare, and what is filed of them."""

from keras_recres import zoo
from keras_recres.zoo.tfds_folder import original
from training import recipes
from training.errors import UserError
from training.ledger import filed_runs
from training.ledger.summary import Summary
from training.settings import DEFAULTS, HOW
from training.studies.by_image import pending
from training.studies.forms import Form

# What trains them on each data set.
RECIPES = {"cifar10": "cifar10_vit", "tiny_imagenet80": "tiny_imagenet80_vit"}
# Each network, and what is to be better than it.
PAPERS = (("vit3", "vit3_rec"), ("vit7", "vit7_rec"))
PAIRS = (*PAPERS, ("vit7_rec", "vit7_rec_plus"))
NAMES = tuple(dict.fromkeys(name for pair in PAIRS for name in pair))
FORMS = tuple(Form(name, name) for name in NAMES)
# Settings that may differ between trainings of one table.
OWN = ("name", "seed", "model_arguments")


def measured(tag):
    """What is filed of each network as its recipe trains it, a list of `Summary`.

    Raises:
        UserError: the networks have no such tag, or what is filed was trained differently.
    """
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
    return [
        Summary(n, {m["settings"]["seed"]: m for m in filed if m["settings"]["name"] == n})
        for n in NAMES
    ]


def todo(summaries, tag):
    """The command that trains those of the networks that are not, "" if all are."""
    absent = [f"{s.label}.{tag}" for s in summaries if s.label in NAMES and not s.metrics]
    return pending(absent) if absent else ""


def differences(found):
    """Of a list of settings those that differ from the first: (the first, the other, key)."""
    for other in found[1:]:
        for key in sorted((found[0].keys() | other.keys()) - set(OWN)):
            if found[0].get(key) != other.get(key):
                yield found[0], other, key


def _recipe_of(name, tag):
    dataset = original(tag)
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
    return all(settings.get(key, DEFAULTS[key]) == asked.get(key, DEFAULTS[key]) for key in HOW)


def _check_alike(found, may_differ=()):
    """Raises a UserError for settings that differ in more than network, seed and these."""
    for one, other, key in differences(found):
        if key not in may_differ:
            raise UserError(
                f"{one['name']} and {other['name']} can't be compared: they were trained with "
                f"{key} {one.get(key)!r} and {other.get(key)!r}."
            )
