"""The walls of the house: which room may import which, and who may touch what is not public."""

import ast
import functools
import pathlib

import pytest

from keras_recres import zoo
from training.studies import EXPERIMENTS

pytestmark = pytest.mark.neutral

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIBRARY, TRAINING = ROOT / "keras_recres", ROOT / "training"

# Room → the rooms that it may import, beside itself. Arrows point one way: layers ← models ← zoo
# ← serve, cli; probes and distribute know no model by name.
ROOMS = {
    "backend": set(),
    "distribute": {"backend"},
    "layers": {"backend"},
    "models": {"backend", "layers"},
    "probes": {"backend", "layers", "models"},
    "zoo": {"backend", "layers", "models"},
    "serve": {"backend", "layers", "models", "zoo"},
    "cli": {"backend", "layers", "models", "probes", "serve", "zoo"},
}
# The same of training/. A room is a folder, or a file of the root; the ground all may import.
GROUND = {"console", "errors", "files", "provenance", "settings"}
TRAINING_ROOMS = {
    "data": set(),
    "recipes": set(),
    "fit": {"data", "recipes"},
    "ledger": {"data", "fit", "recipes"},
    "jobs": {"data", "fit", "ledger", "recipes"},
    "evaluate": {"data", "fit", "ledger"},
    "benchmarks": {"data", "fit", "recipes"},
    "benchmark": {"benchmarks"},
    "report": {"fit", "ledger"},
    "line": set(),
    "cell_drawings": set(),
    "state_film": set(),
    "studies": {"data", "evaluate", "fit", "jobs", "ledger", "recipes"},
    "reproduce": {"studies"},
    "travel": {"data", "fit", "jobs", "recipes"},
    "device": {"travel"},
    "pending": {"jobs", "travel"},
}
BACKENDS = {"tensorflow", "jax", "torch"}
# What may import a backend: beside these files and rooms the reader of PyTorch's checkpoints.
OF_BACKENDS = ("backend/", "distribute.py", "serve/", "zoo/convert/state_dict.py")
PRIVATE = "backend/keras_private.py"
# Where no family is named: each has what it needs in its builder's record.
WITHOUT_FAMILIES = (
    *(f"keras_recres/{room}" for room in ("backend", "cli", "layers", "probes", "serve", "zoo")),
    "keras_recres/distribute.py",
    *(f"training/{room}" for room in ("data", "fit", "ledger", "jobs", "travel")),
    "training/evaluate.py",
    *(f"tests/{name}/test_battery.py" for name in ("layers", "zoo")),
)
# The command that reads the checkpoints of one family.
OF_CONVERTERS = ("convert.py",)


@functools.cache
def trees(package):
    """{module, its dots without the package's name: syntax tree} of a package's folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def path_of(module):
    """A module of the library as a path, "layers/frn.py"."""
    parts = module.split(".")
    file = LIBRARY.joinpath(*parts[:-1], f"{parts[-1]}.py")
    return f"{'/'.join(parts)}.py" if file.is_file() else f"{'/'.join(parts)}/__init__.py"


def imported(tree):
    """(module, names) of every import statement, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", tuple(alias.name for alias in node.names)


@functools.cache
def graph(package, top_level=True):
    """{module: the modules of the same package that it imports}.

    Args:
        package: The package's folder.
        top_level: Whether to leave out what is imported inside functions, which makes no circle
            when the package is imported.
    """
    modules, edges = trees(package), {}
    for module, tree in modules.items():
        body = (
            ast.Module([n for n in tree.body if not _is_definition(n)], []) if top_level else tree
        )
        edges[module] = set()
        for source, names in imported(body):
            head, _, inner = source.partition(".")
            if head != package.name:
                continue
            for name in names or ("",):
                longest = f"{inner}.{name}".strip(".")
                edges[module].add(longest if longest in modules else inner)
        edges[module] -= {module, ""}
    return edges


def _is_definition(node):
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def circles(edges):
    """The sets of modules that import one another, round about."""
    reach = {}
    for start in edges:
        seen, open_ = set(), [start]
        while open_:
            for to in edges.get(open_.pop(), ()):
                if to not in seen:
                    seen.add(to)
                    open_.append(to)
        reach[start] = seen
    return {
        frozenset(b for b in edges if b in reach[a] and a in reach.get(b, ())) | {a}
        for a in edges
        if a in reach[a]
    }


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below(room):
    edges = graph(LIBRARY, top_level=False)
    assert {module.partition(".")[0] for module in edges if module} == set(ROOMS)
    for module, targets in edges.items():
        if module.partition(".")[0] == room:
            rooms = {target.partition(".")[0] for target in targets} - {room}
            assert rooms <= ROOMS[room], module


def test_rooms_of_training_import_only_what_lies_below():
    below = {"": set(), **{room: set() for room in GROUND}, **TRAINING_ROOMS}
    for module, targets in graph(TRAINING, top_level=False).items():
        room = module.partition(".")[0]
        rooms = {target.partition(".")[0] for target in targets}
        assert rooms - {room, *GROUND} <= below[room], module


def test_the_library_has_no_circle():
    assert circles(graph(LIBRARY)) == set()


def test_training_has_no_circle():
    assert circles(graph(TRAINING, top_level=False)) == set()


def test_studies_are_imported_by_nobody():
    """What two of them need is in a module beside them."""
    studies = {
        module
        for module, tree in trees(TRAINING).items()
        if any(isinstance(n, ast.Assign) and "STUDY" in ast.unparse(n.targets) for n in tree.body)
    }
    assert studies == {f"studies.{name}" for name in EXPERIMENTS}
    for module, targets in graph(TRAINING, top_level=False).items():
        assert not targets & studies, module


def test_only_named_places_import_a_backend():
    for module, tree in trees(LIBRARY).items():
        if not path_of(module).startswith(OF_BACKENDS):
            heads = {source.partition(".")[0] for source, _ in imported(tree)}
            assert not heads & BACKENDS, module


def test_nothing_imports_training_or_tests():
    for module, tree in trees(LIBRARY).items():
        heads = {source.partition(".")[0] for source, _ in imported(tree)}
        assert not heads & {"training", "tests"}, module


@pytest.mark.parametrize("package", [LIBRARY, TRAINING], ids=lambda path: path.name)
def test_one_file_touches_what_is_private_in_keras(package):
    for module, tree in trees(package).items():
        if package == LIBRARY and path_of(module) == PRIVATE:
            continue
        sources = [source for source, _ in imported(tree)]
        assert not any(source.startswith("keras.src") for source in sources), module
        assert not foreign_names(package, tree), module


@pytest.mark.parametrize("path", WITHOUT_FAMILIES)
def test_no_family_is_named_outside_its_own_files(path):
    """What a family needs stands in its builder's record, `keras_recres.models.families`."""
    builders = {record.builder for record in zoo.list()}
    files = sorted((ROOT / path).rglob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]
    for file in files:
        if file.parent.name == "convert":
            continue  # Readers of one family's checkpoints.
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant):
                assert node.value not in builders, (file.name, node.lineno)
            if isinstance(node, ast.Attribute):
                assert node.attr not in builders or file.name in OF_CONVERTERS, file.name


def foreign_names(package, tree):
    """Underscored attributes that are read in a tree and that nothing in the package defines."""
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
    }
    # A parser's list of options is argparse's.
    allowed = {"_actions"}
    return {name for name in used - own_names(package) - allowed if not name.startswith("__")}


@functools.cache
def own_names(package):
    """Every name that a package's code defines: functions, classes, variables, attributes."""
    names = set()
    for module, tree in trees(package).items():
        if package == LIBRARY and path_of(module) == PRIVATE:
            continue  # It assigns attributes of Keras'.
        for node in ast.walk(tree):
            if _is_definition(node):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                names.add(node.attr)
    return names
