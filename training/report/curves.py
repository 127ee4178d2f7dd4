"""Learning curves as inline SVG, coloured by the page's own style sheet."""

import math

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 34
SMALL_WIDTH, SMALL_HEIGHT = 96, 28


def sparkline(log, key="val_accuracy"):
    """A few pixels of curve for a table's cell, or "" where there are not two epochs."""
    points = _points(log, key)
    if len(points) < 2:
        return ""
    low, high = _range([value for _, value in points])
    end = (SMALL_WIDTH, SMALL_HEIGHT)
    path = _path(points, points[0][0], points[-1][0], low, high, (3, 3), end)
    x, y = path[-1]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
    return (
        f'<svg class="spark" viewBox="0 0 {SMALL_WIDTH} {SMALL_HEIGHT}" role="img" '
        f'aria-label="evaluation accuracy by epoch, from {points[0][1]:.1%} to '
        f'{points[-1][1]:.1%}"><polyline class="line evaluation" points="{line}"/>'
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/></svg>'
    )


def chart(log, key, percent):
    """One quantity over the epochs, in training and evaluation.

    Args:
        log: Rows of a training's log.
        key: "loss" or "accuracy".
        percent: Whether to label the values as percentages.

    Returns:
        An SVG element, or "" where there are not two epochs.
    """
    curves = {"training": _points(log, key), "evaluation": _points(log, f"val_{key}")}
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if not curves:
        return ""
    epochs = [epoch for points in curves.values() for epoch, _ in points]
    first, last = min(epochs), max(epochs)
    ticks = _ticks(*_range([value for points in curves.values() for _, value in points]))
    low, high = ticks[0], ticks[-1]
    spell = (lambda value: f"{100 * value:g} %") if percent else (lambda value: f"{value:g}")
    parts = []
    for tick in ticks:
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - tick) / (high - low)
        line = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line class="grid" {line}/>{_text(LEFT - 6, y + 4, spell(tick), "end")}')
    for epoch in sorted({first, (first + last) // 2, last}):
        x = LEFT + (WIDTH - LEFT - RIGHT) * (epoch - first) / (last - first)
        parts.append(_text(x, HEIGHT - BOTTOM + 15, f"{epoch:g}"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "epoch"))
    for name, points in curves.items():
        path = _path(points, first, last, low, high, (LEFT, TOP), (WIDTH, HEIGHT), (RIGHT, BOTTOM))
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        parts.append(f'<polyline class="line {name}" points="{line}"/>')
    ends = ", ".join(f"{name} {_exact(points[-1][1], percent)}" for name, points in curves.items())
    keys = "".join(
        f'<span class="key {name}">{name} {_exact(points[-1][1], percent)}</span>'
        for name, points in curves.items()
    )
    return (
        f'<figure class="chart"><figcaption>{key} {keys}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{key} by epoch; at the end '
        f'{ends}">{"".join(parts)}</svg></figure>'
    )


def _text(x, y, text, anchor="middle"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _exact(value, percent):
    return f"{value:.1%}" if percent else f"{value:.3f}"


def _points(log, key):
    """(epoch, value), epochs from 1, without what is missing or not finite."""
    points = [(int(row["epoch"]) + 1, row.get(key, math.nan)) for row in log]
    return [(epoch, value) for epoch, value in points if math.isfinite(value)]


def _range(values):
    low, high = min(values), max(values)
    # A constant has no range of its own.
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low, high):
    """Round numbers, at most seven, from at or below `low` to at or above `high`."""
    step = 10 ** math.floor(math.log10((high - low) / 5))
    step = next(f * step for f in (1, 2, 2.5, 5, 10) if (high - low) / (f * step) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _path(points, first, last, low, high, begin, end, margin=(3, 3)):
    """Points of the plane between `begin` and `end` less the margin; up is more."""
    width, height = end[0] - margin[0] - begin[0], end[1] - margin[1] - begin[1]
    return [
        (
            begin[0] + width * (epoch - first) / (last - first),
            begin[1] + height * (high - value) / (high - low),
        )
        for epoch, value in points
    ]
