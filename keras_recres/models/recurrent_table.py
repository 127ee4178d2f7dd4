"""The table of `recurrent`: what the blocks were and are, as plain text."""

import dataclasses

from keras_recres.models.multiply_adds import multiply_adds

AFTERWARDS = (
    "Folding pays only after training on: before it, compare with the controls, the blocks dropped "
    "and low rank without a shared kernel."
)


@dataclasses.dataclass(frozen=True)
class RecurrentRow:
    """A run of blocks, or the whole model.

    Attributes:
        name: Of the run.
        rule: What became of it, "repeat(2)"; or "".
        count: How many blocks it had; None for the model.
        layers: How many recurrent layers stand in their place.
        parameters: Their number before and after.
        multiply_adds: Their number before and after for an example; None where a size is open.
        kernel_error: Mean relative error |W_t − W'_t| / |W_t| of its kernels, or None.
        block_errors: For each step the relative error of the features after it on the data, begun
            with those of the model, or None.
    """

    name: str
    rule: str
    count: int | None
    layers: int | None
    parameters: tuple
    multiply_adds: tuple
    kernel_error: float | None = None
    block_errors: tuple | None = None


@dataclasses.dataclass(frozen=True)
class RecurrentTable:
    """What `recurrent` did; `str(table)` is the text that it prints.

    Attributes:
        rows: A `RecurrentRow` for every run of blocks that a rule took.
        total: One for the model.
        kernels: For each kernel that steps came to share, (run, weight, rank, its relative error in
            every step).
        outputs: {what: (relative error of the outputs, share of examples with the same largest
            output)} for "folded" and the two controls; empty without data.
        left: (Names of layers, why they are in no run).
    """

    rows: tuple
    total: RecurrentRow
    kernels: tuple = ()
    outputs: dict = dataclasses.field(default_factory=dict)
    left: tuple = ()

    def __str__(self):
        head = ("blocks", "rule", "count", "parameters", "multiply-adds", "kernels", "features")
        lines = [head]
        for row in (*self.rows, self.total):
            pairs = (_pair(row.parameters), _pair(row.multiply_adds))
            last = row.block_errors[-1] if row.block_errors else None
            errors = ("" if x is None else f"{x:.2g}" for x in (row.kernel_error, last))
            count = "" if row.count is None else f"{row.count} → {row.layers}"
            lines.append((row.name, row.rule, count, *pairs, *errors))
        if not any(row.kernel_error is not None for row in self.rows):
            lines = [line[:5] for line in lines]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, text))
        text = [text[0], rule, *text[1:-1], rule, text[-1]]
        if "kernels" in lines[0]:
            text.append("kernels, features: mean relative errors of kernels, and of the last step")
        for what, (error, agreement) in self.outputs.items():
            text.append(f"{what}: outputs off by {error:.2g}, {100 * agreement:.1f} % agree")
        if any(row.kernel_error is not None for row in self.rows):
            text.append(AFTERWARDS)
        return "\n".join(text)


def compare(model, new_model, plans, others, outputs=None):
    """The table of what became of a model.

    Args:
        model: The model before.
        new_model: The model after.
        plans: What the rules' `plans` gave, carried out.
        others: What `search` says of the parts in no run.
        outputs: As in the table.
    """
    rows, kernels = [], []
    for run in dict.fromkeys(plan.run for plan in plans):
        own = [plan for plan in plans if plan.run is run]
        blocks = sum(plan.count for plan in own)
        before = run.parameters // run.count
        after = sum(plan.made.count_params() for plan in own)
        adds = run.multiply_adds
        steps = sum(plan.made.steps for plan in own) + run.count - blocks
        errors = [error for plan in own for *_, errors in plan.kernels for error in errors]
        kernels += [(run.name, *kernel) for plan in own for kernel in plan.kernels]
        rows.append(
            RecurrentRow(
                name=run.name,
                rule=str(own[0].rule),
                count=run.count,
                layers=len(own) + run.count - blocks,
                parameters=(run.parameters, run.parameters - blocks * before + after),
                multiply_adds=(adds, adds if adds is None else adds * steps // run.count),
                kernel_error=sum(errors) / len(errors) if errors else None,
                block_errors=own[0].errors,
            )
        )
    counts = tuple(m.count_params() for m in (model, new_model))
    total = RecurrentRow("model", "", None, None, counts, tuple(map(_adds, (model, new_model))))
    return RecurrentTable(tuple(rows), total, tuple(kernels), outputs or {}, tuple(others))


def _adds(model):
    try:
        return multiply_adds(model).total
    except ValueError:
        return None


def _pair(numbers):
    return " → ".join("?" if number is None else f"{number:,}" for number in numbers)
