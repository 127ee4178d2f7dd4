"""What type checkers know of the library: every public signature, and a user's program."""

import importlib.util
import inspect
import pathlib
import subprocess
import sys
import types
from typing import Any

import pytest

import keras_recres
from keras_recres import backend

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIBRARY = pathlib.Path(keras_recres.__file__).parent
DUNDERS = ("__init__", "__call__", "__getitem__", "__getattr__", "__len__", "__repr__", "__str__")


def public_functions(thing, name, seen):
    """(dotted name, function, whether it has a `self`) of all that a public name leads to."""
    module = thing.__name__ if isinstance(thing, types.ModuleType) else thing.__module__
    if id(thing) in seen or not module.startswith("keras_recres"):
        return
    seen.add(id(thing))
    if isinstance(thing, types.ModuleType):
        own = [n for n, v in vars(thing).items() if getattr(v, "__module__", None) == module]
        for part in getattr(thing, "__all__", [n for n in own if not n.startswith("_")]):
            value = getattr(thing, part)
            if isinstance(value, types.ModuleType) or callable(value):
                yield from public_functions(value, f"{name}.{part}", seen)
    elif inspect.isclass(thing):
        for base in (base for base in thing.__mro__ if base.__module__.startswith("keras_recres")):
            for part, value in vars(base).items():
                static = isinstance(value, staticmethod)
                value = getattr(value, "fget", getattr(value, "__func__", value))
                # A dataclass' own methods are of no file of ours.
                written = inspect.isfunction(value) and str(LIBRARY) in (
                    inspect.unwrap(value).__code__.co_filename
                )
                if written and (part in DUNDERS or not part.startswith("_")):
                    yield f"{name}.{part}", value, not static
    else:
        yield name, thing, False


@pytest.mark.neutral
def test_every_public_function_says_what_it_takes_and_gives():
    seen, missing, vague, count = set(), [], [], 0
    for room in (keras_recres, backend):
        for name, function, bound in public_functions(room, room.__name__, seen):
            signature = inspect.signature(inspect.unwrap(function))
            given = list(signature.parameters.values())[bound:]
            count += 1
            if any(p.annotation is p.empty for p in given):
                missing.append(name)
            elif signature.return_annotation is signature.empty:
                missing.append(f"{name} -> ?")
            elif signature.return_annotation in (Any, "Any"):
                vague.append(name)
    assert missing == []
    # What Keras leaves open: layers' calls and specs, and a batch of any structure.
    ours = [name for name in vague if not name.startswith("keras_recres.layers.")]
    assert ours == ["keras_recres.distribute.Shard.__getitem__"]
    assert count > 400


@pytest.mark.slow
@pytest.mark.neutral
@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_a_users_program_is_well_typed(checker):
    """Whose `assert_type`s would refuse an Any."""
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed (pip install keras-recres[typing])")
    command = [sys.executable, "-m", checker, "tests/typing/client.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
