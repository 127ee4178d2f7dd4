"""The table of `substitute`: parameters and multiply-adds before and after, as plain text."""

import dataclasses

from keras_recres.models.multiply_adds import count_call


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer before and after, or several.

    Attributes:
        path: Name of the layer, behind those of the models that contain it: "encoder/conv1".
        kind: Class of the layer.
        substitute: Class of the layer in its place, or None if it was kept.
        note: Why it was kept, or what the substitute lacks; or "".
        parameters: Their number before and after, all weights counted.
        multiply_adds: Their number before and after for an example, all calls of the layer
            together; None where it depends on a size that is open.
    """

    path: str
    kind: str
    substitute: str | None
    note: str
    parameters: tuple
    multiply_adds: tuple


@dataclasses.dataclass(frozen=True)
class SubstitutionTable:
    """What `substitute` did; `str(table)` is the text that it prints.

    Attributes:
        rows: A `Row` for every layer that a rule replaced, or said why not.
        others: One for all other layers together.
        total: One for the model.
        uncounted: Paths of the layers whose multiply-adds are not known and not in the sums.
    """

    rows: tuple
    others: Row
    total: Row
    uncounted: tuple

    def __str__(self):
        lines = [("layer", "was", "is", "parameters", "", "multiply-adds", "", "")]
        for row in (*self.rows, self.others, self.total):
            became = row.substitute or ("kept" if row.kind else "")
            numbers = (*row.parameters, *row.multiply_adds)
            cells = ("?" if number is None else f"{number:,}" for number in numbers)
            lines.append((row.path, row.kind, became, *cells, row.note))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        # The pair of numbers under one head: before → after.
        text = []
        for i, (*names, params, params_after, adds, adds_after, note) in enumerate(lines):
            arrow = "→" if i else " "
            cells = [name.ljust(width) for name, width in zip(names, widths, strict=False)]
            cells.append(
                f"{params.rjust(widths[3])} {arrow} {params_after.rjust(widths[4])}"
                f"  {adds.rjust(widths[5])} {arrow} {adds_after.rjust(widths[6])}"
            )
            text.append("  ".join([*cells, note]).rstrip())
        rule = "-" * max(map(len, text))
        text = [text[0], rule, *text[1:-2], rule, *text[-2:]]
        if self.uncounted:
            text.append(f"Multiply-adds not counted: {', '.join(self.uncounted)}.")
        return "\n".join(text)


def compare(model, new_model, used, decisions, new_layers):
    """The table of what became of a model.

    Args:
        model: The model before.
        new_model: The model after.
        used: {id of a layer or operation of the model: its calls}.
        decisions: {id of a layer: (its substitute or None, note)}.
        new_layers: {id of a layer or operation: the one in the new model}.

    Returns:
        A `SubstitutionTable`.
    """
    rows, uncounted, pairs = [], [], {}
    for key, uses in used.items():
        layer, new = uses[0].operation, new_layers[key]
        # The new layer sees the same shapes.
        pairs[key] = tuple(_count(part, uses, uncounted) for part in (layer, new))
        if key not in decisions:
            continue
        replaced, note = decisions[key]
        rows.append(
            Row(
                path=uses[0].path,
                kind=type(layer).__name__,
                substitute=None if replaced is None else type(replaced).__name__,
                note=note,
                parameters=(layer.count_params(), new.count_params()),
                multiply_adds=pairs[key],
            )
        )
    parameters = (model.count_params(), new_model.count_params())
    rest = tuple(
        whole - sum(row.parameters[i] for row in rows) for i, whole in enumerate(parameters)
    )
    kept = _sums(pair for key, pair in pairs.items() if key not in decisions)
    return SubstitutionTable(
        tuple(rows),
        Row("all other layers", "", None, "", rest, kept),
        Row("total", "", None, "", parameters, _sums(pairs.values())),
        tuple(dict.fromkeys(uncounted)),
    )


def _count(layer, uses, uncounted):
    """The multiply-adds of a layer in all of its calls, or None if a size is open."""
    return _sum(count_call(layer, use.args, use.kwargs, use.path, uncounted) for use in uses)


def _sums(pairs):
    pairs = list(pairs)
    return _sum(pair[0] for pair in pairs), _sum(pair[1] for pair in pairs)


def _sum(counts):
    counts = list(counts)
    return None if None in counts else sum(counts)
