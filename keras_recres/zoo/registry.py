"""The names of the zoo: listed, searched, and described, without building anything."""

from __future__ import annotations

import builtins
import copy
import csv
import dataclasses
import difflib
import fnmatch
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from keras_recres.zoo import sources
from keras_recres.zoo.record import SOURCES, Record, Result

if TYPE_CHECKING:
    import pandas

# `list` below is the public name, as in `zoo.list()`; the type is `builtins.list` in this file.
__all__ = ["info", "list", "register", "resolve", "trained_tag"]

# Configs of the user's own names.
_registered: dict[str, dict[str, Any]] = {}

# Each with the key of `Record.row`, and 1 where the least comes first.
SORTS = {
    "accuracy": ("measured", -1),
    "parameters": ("parameters", 1),
    "multiply_adds": ("multiply_adds", 1),
}


class Untrained(ValueError):
    """There are no weights; `what` is that, without what to do in Python."""

    def __init__(self, what, instead):
        super().__init__(what + instead)
        self.what, self.instead = what, instead


@overload
def list(
    pattern: str | Sequence[str] = ...,
    trained: bool | None = ...,
    dataset: str | None = ...,
    max_params: int | None = ...,
    family: str | None = ...,
    sort: str | None = ...,
    as_frame: Literal[False] = ...,
    source: str | None = ...,
) -> builtins.list[Record]: ...


@overload
def list(
    pattern: str | Sequence[str] = ...,
    trained: bool | None = ...,
    dataset: str | None = ...,
    max_params: int | None = ...,
    family: str | None = ...,
    sort: str | None = ...,
    *,
    as_frame: Literal[True],
    source: str | None = ...,
) -> pandas.DataFrame: ...


def list(
    pattern: str | Sequence[str] = "*",
    trained: bool | None = None,
    dataset: str | None = None,
    max_params: int | None = None,
    family: str | None = None,
    sort: str | None = None,
    as_frame: bool = False,
    source: str | None = None,
) -> builtins.list[Record] | pandas.DataFrame:
    """Records of all names that match, in natural order (vit3 before vit10).

    Args:
        pattern: Shell wildcards, `"vit*_rec"`, or several, of which a name matches any.
        trained: True for names that have weights of this project, False for those that have none
            at all. Together with `dataset` it means weights of that data set.
        dataset: Only names with a tag of this data set.
        max_params: Only names whose network, as the paper has it, has at most so many parameters,
            frozen ones counted.
        family: Only names of this family, `"t2t_vit"`.
        sort: None; `"accuracy"`, what was measured on `dataset`, else on that of the default tag,
            highest first; `"parameters"` or `"multiply_adds"` of what was measured, else of the
            paper's network, smallest first. What is not known comes last.
        as_frame: Whether to return a table of pandas, which must be installed: a row a name, with
            `multiply_adds`, `measured`, `measured_on`, `printed` and more.
        source: "keras" for names whose weights Keras downloads, which `trained=True` then counts;
            "zoo" for all others.

    Returns:
        A list of `Record`, empty when nothing matches, or a `pandas.DataFrame`.

    Raises:
        ValueError: `sort` or `source` is another than these.
        ImportError: pandas is missing.

    Example:
    >>> zoo.list("planar_*", max_params=30)
    [<planar_rec: 6 parameters, ...>, <planar_shallow: 24 parameters, ...>]
    """
    if sort not in (None, *SORTS):
        raise ValueError(
            f"sort must be None or one of {', '.join(map(repr, SORTS))}, found {sort!r}"
            f"{nearest(sort, SORTS)}."
        )
    if source not in (None, *SOURCES):
        raise ValueError(f"source must be None or one of {SOURCES}, found {source!r}.")
    patterns = [pattern] if isinstance(pattern, str) else pattern
    names = [name for name in _names() if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    found = []
    for record in _read(names):
        tags = {t for t, tag in record.tags.items() if dataset in (None, tag.dataset)}
        if (
            (dataset is None or tags)
            and (source is None or record.source == source)
            and _asked_for(record, tags, trained, source)
            and (max_params is None or record.parameters.total <= max_params)
            and (family is None or record.family == family)
        ):
            found.append(record)
    if sort:
        key, sign = SORTS[sort]
        values = {record.name: record.row(dataset)[key] for record in found}
        found.sort(key=lambda r: (values[r.name] is None, sign * (values[r.name] or 0)))
    return _frame([record.row(dataset) for record in found]) if as_frame else found


def _asked_for(record, tags, trained, source):
    loadable = tags & {*record.loadable_tags}
    if not trained:
        return trained is None or not loadable
    return bool(loadable if source else tags & {*record.trained_tags})


def _frame(rows):
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"as_frame=True needs pandas ({error}): install it with `pip install pandas`."
        ) from None
    return pandas.DataFrame(rows, columns=[*(rows[0] if rows else ())])


def info(name: str) -> Record:
    """The record of a name: parameters, paper, tags, and what was measured.

    Args:
        name: A name of `zoo.list()`, or `"name.tag"`; then `default_tag` of the record is that tag.

    Returns:
        A `Record`; `print(zoo.info(name))` shows it in a few lines.

    Raises:
        ValueError: The name or the tag is unknown; the nearest are suggested.
    """
    record, tag = resolve(name)
    return dataclasses.replace(record, default_tag=tag) if tag else record


def register(config: dict[str, Any]) -> Record:
    """Gives a network of yours a name, which `load`, `build`, `list` and `info` know from then on.

    The name lasts as long as the process: call it again, or where your package is imported.
    Weights of its tags lie in the folder of KERAS_RECRES_ZOO, or are given to `load` as a file.

    Example:
    >>> config = {**zoo.info("planar_rec").to_dict(), "name": "planar_rec_20"}
    >>> config["arguments"] = {**config["arguments"], "steps": 20}
    >>> zoo.register(config)
    <planar_rec_20: 6 parameters, no weights yet>
    >>> model = zoo.build("planar_rec_20")

    Args:
        config: What a file of `zoo/configs` has: `name`, `family`, `builder` (a function of
            `keras_recres.models`) with its `arguments`, `parameters`, `paper`, `preprocessing`,
            `default_tag` and `tags`; `"extends"` names one of `zoo/configs/bases`, which has the
            rest. A name that was registered before is replaced.

    Returns:
        Its `Record`.

    Raises:
        ValueError: The name is the zoo's or no name, or a key is missing, unknown or of a wrong
            type.
    """
    name = config.get("name") if isinstance(config, dict) else None
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise ValueError(
            "config must be a dict whose 'name' has letters, digits, _ and - only, found "
            f"{config!r}."
        )
    if name in _names() and name not in _registered:
        raise ValueError(f"{name!r} is a name of the zoo: give another one.")
    # Checked before it is known; as JSON has it, and no longer the caller's.
    _read_one(name, sources.listed_files(), [], whole := _whole(json.loads(json.dumps(config))))
    _registered[name] = whole
    return _read([name])[0]


def resolve(name):
    """Splits `"name.tag"`: returns the record and the tag, which is None for a bare name."""
    base, _, tag = str(name).partition(".")
    names = _names()
    if base not in names:
        raise ValueError(
            f"The zoo has no {base!r}{nearest(base, names)}; zoo.list() shows all names."
        )
    (record,) = _read([base])
    return record, check_tag(record, tag) if tag else None


def check_tag(record, tag):
    """Returns `tag`; raises a ValueError when the record has no such tag."""
    if tag not in record.tags:
        raise ValueError(
            f"{record.name!r} has no tag {tag!r}{nearest(tag, record.tags)}; "
            f"it has {', '.join(record.tags) or 'none'}."
        )
    return tag


def trained_tag(record, tag, weights="default"):
    """The tag whose weights `load` was asked for; raises when there are none."""
    if weights != "default":
        check_tag(record, weights)
        if tag not in (None, weights):
            raise ValueError(
                f"'{record.name}.{tag}' already names the tag {tag!r}, but weights={weights!r}: "
                "give one of them."
            )
    tag = (weights if weights != "default" else None) or tag or record.default_tag
    if tag in record.loadable_tags:
        return tag
    which = others = ""
    if record.loadable_tags:
        which = f" for its tag {tag!r}"
        others = f"; weights exist for {', '.join(record.loadable_tags)}"
    printed = f" (the paper: {record.paper.says})" if record.paper.printed is not None else ""
    raise Untrained(
        f"{record.name!r} has no trained weights yet{which}{others}",
        f"; pass weights=None for the architecture, or the path of a .weights.h5 file{printed}.",
    )


def nearest(word, words):
    """The part of a sentence that suggests close words, `" (did you mean 'vit3'?)"`, or `""`."""
    close = difflib.get_close_matches(str(word), [*words], n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""


def _names() -> builtins.list[str]:
    names = [path.stem for path in (sources.data_folder() / "configs").glob("*.json")]
    return sorted({*names, *_registered}, key=_natural)


def _natural(name):
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name) if p]


def _read(names) -> builtins.list[Record]:
    # Read anew every time: a config is small, and whoever trains adds weights and results while
    # the process runs.
    listed, results = sources.listed_files(), _results()
    return [_read_one(name, listed, results) for name in names]


def config_of(name):
    """The content of a name's config, with that of the file in `configs/bases` that it extends.

    Raises:
        ValueError: One of the files is missing, no JSON object, or another name's.
    """
    if name in _registered:
        return copy.deepcopy(_registered[name])
    config = _json(f"configs/{name}.json")
    if config.get("name") != name:
        raise ValueError(
            f"configs/{name}.json must have the name {name!r}, found {config.get('name')!r}."
        )
    return _whole(config)


def _whole(config):
    base = config.pop("extends", None)
    return config if base is None else _extended(_json(f"configs/bases/{base}.json"), config)


def _json(file):
    path = sources.data_folder() / file
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing, which another config extends.") from None
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must be a JSON object, found {content!r}.")
    return content


def _extended(base, config):
    """`config` with what it lacks of `base`, objects key by key."""
    both = {
        key: _extended(base[key], value)
        for key, value in config.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**config, **{key: value for key, value in base.items() if key not in config}, **both}


def _read_one(name, listed, results, config=None):
    record = Record.from_dict(config or config_of(name), where=f"{name}.json")
    return dataclasses.replace(
        record,
        trained_tags=tuple(t for t in record.tags if sources.weights_file(name, t) in listed),
        results=tuple(row for row in results if row.name == name),
    )


def _results():
    path = sources.data_folder() / "results.csv"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [Result(**row) for row in csv.DictReader(file)]
