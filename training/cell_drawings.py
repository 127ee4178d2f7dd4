"""The drawings of docs/: each cell, and each layer of a tree, as boxes and arrows.

    python -m training.cell_drawings [FOLDER]

A cell is an entry of `CELLS`, a layer of a tree one of `TREES`.
"""

import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parents[1] / "docs"
# What begins so is in a box; states and inputs are not.
OPERATIONS = ("σ", "t", "×", "+", "1", "W", "g", "i", "o", "s", "LSTM")
LSTM = {
    **{"x": (2.5, 0), "h₋": (0, 0), "c₋": (0, 3), "c": (6, 3), "h": (6, 0.7)},
    **{"σ f": (1, 1.3), "σ i": (2, 1.3), "tanh g": (3, 1.3), "σ o": (4.2, 1.3)},
    **{"×f": (1, 3), "×i": (2.5, 2.2), "+": (2.5, 3), "tanh": (5, 2.2), "×o": (5, 1.3)},
}
LSTM_ARROWS = (
    "x>σ f, x>σ i, x>tanh g, x>σ o, h₋>σ f, h₋>σ i, h₋>tanh g, h₋>σ o, c₋>×f, σ f>×f, "
    "×f>+, σ i>×i, tanh g>×i, ×i>+, +>c, +>tanh, tanh>×o, σ o>×o, ×o>h"
)
# Cell → what it has, each with its place, and which of it leads where.
CELLS = {
    "Elman": (
        {"x": (0, 0), "h₋": (0, 2), "tanh": (2, 1), "h": (4, 1), "y": (6, 1)},
        "x>tanh, h₋>tanh, tanh>h, h>y",
    ),
    "Jordan": (
        {"x": (0, 0), "y₋": (0, 2), "tanh": (2, 1), "σ": (4, 1), "y": (6, 1)},
        "x>tanh, y₋>tanh, tanh>σ, σ>y",
    ),
    "LSTM": (LSTM, LSTM_ARROWS),
    "LSTM with peepholes": (LSTM, f"{LSTM_ARROWS}, c₋>σ f, c₋>σ i, +>σ o"),
    "GRU": (
        {
            **{"x": (3, 0), "h₋": (0, 2.6), "σ r": (1.2, 1.2), "σ z": (4.8, 1.2)},
            **{"×r": (1.2, 2.6), "tanh": (3, 1.8), "1−z": (4.8, 2), "×": (4, 3.2)},
            **{"×z": (2, 3.4), "+": (5.2, 3.4), "h": (6.4, 3.4)},
        },
        "x>σ r, x>σ z, x>tanh, h₋>σ r, h₋>σ z, h₋>×r, σ r>×r, ×r>tanh, σ z>1−z, 1−z>×, "
        "tanh>×, h₋>×z, σ z>×z, ×z>+, ×>+, +>h",
    ),
    "both directions": (
        {
            **{"x₁": (0, 0), "x₂": (2, 0), "x₃": (4, 0), "→h₁": (0.4, 1.2), "→h₂": (2.4, 1.2)},
            **{"→h₃": (4.4, 1.2), "←h₁": (-0.4, 2.2), "←h₂": (1.6, 2.2), "←h₃": (3.6, 2.2)},
            **{"y₁": (0, 3.4), "y₂": (2, 3.4), "y₃": (4, 3.4)},
        },
        "x₁>→h₁, x₂>→h₂, x₃>→h₃, x₁>←h₁, x₂>←h₂, x₃>←h₃, →h₁>→h₂, →h₂>→h₃, ←h₃>←h₂, ←h₂>←h₁, "
        "→h₁>y₁, →h₂>y₂, →h₃>y₃, ←h₁>y₁, ←h₂>y₂, ←h₃>y₃",
    ),
    "depth-gated LSTM": (
        {
            **{"x": (2.6, 0), "c₋": (0, 3), "c below": (0, 0.6), "σ d": (1.6, 1.2)},
            **{"×d": (3, 1.6), "×f": (2, 3), "i ⊙ g": (4, 1), "+": (4, 3), "c": (6, 3)},
        },
        "x>σ d, c₋>σ d, c below>σ d, c below>×d, σ d>×d, ×d>+, c₋>×f, ×f>+, x>i ⊙ g, i ⊙ g>+, +>c",
    ),
    "Grid LSTM, one layer": (
        {
            **{"h time": (0, 3), "m time": (0, 2.2), "h depth": (1.4, 0), "m depth": (3, 0)},
            **{"LSTM time": (3, 2.6), "LSTM depth": (5, 1.3), "h′ time": (6.6, 3)},
            **{"m′ time": (6.6, 2.2), "h′ depth": (4.4, 4), "m′ depth": (6, 4)},
        },
        "h time>LSTM time, m time>LSTM time, h depth>LSTM time, h depth>LSTM depth, "
        "m depth>LSTM depth, LSTM time>h′ time, LSTM time>m′ time, LSTM time>LSTM depth, "
        "LSTM depth>h′ depth, LSTM depth>m′ depth",
    ),
    "Array-LSTM, two lanes": (
        {
            **{"x": (0, 0), "h₋": (0, 2), "gates 1": (2, 2.4), "gates 2": (2, 0.4)},
            **{"c₁": (3.6, 3), "c₂": (3.6, 0), "o₁ tanh c₁": (5, 2.4), "o₂ tanh c₂": (5, 0.4)},
            **{"+": (6.4, 1.4), "h": (7.6, 1.4)},
        },
        "x>gates 1, h₋>gates 1, x>gates 2, h₋>gates 2, gates 1>c₁, gates 2>c₂, "
        "gates 1>o₁ tanh c₁, gates 2>o₂ tanh c₂, c₁>o₁ tanh c₁, c₂>o₂ tanh c₂, o₁ tanh c₁>+, "
        "o₂ tanh c₂>+, +>h",
    ),
    "convolutional LSTM": (
        {"maps x": (0, 0), "maps h₋": (0, 2), "W∗x + U∗h₋": (2.6, 1), "LSTM": (4.8, 1)}
        | {"c₋": (4.8, 2.6), "c": (6.6, 2), "h": (6.6, 0)},
        "maps x>W∗x + U∗h₋, maps h₋>W∗x + U∗h₋, W∗x + U∗h₋>LSTM, c₋>LSTM, LSTM>c, LSTM>h",
    ),
    "window of attention, r = 1": (
        {
            **{"h₁": (0, 0), "h₂": (1.6, 0), "h₃": (3.2, 0), "h₄": (4.8, 0), "×a₀": (0.9, 1.4)},
            **{"×a₁": (1.9, 1.4), "×a₂": (3.1, 1.4), "+": (1.9, 2.5), "y₂": (1.9, 3.6)},
        },
        "h₁>×a₀, h₂>×a₁, h₃>×a₂, ×a₀>+, ×a₁>+, ×a₂>+, +>y₂",
    ),
    "tree": (
        {
            **{"b": (0, 0), "c": (2, 0), "e": (4, 0), "tanh W[b; c]": (1, 1.4), "p": (1, 2.4)},
            **{"tanh W[p; e]": (2.6, 3.4), "root": (2.6, 4.4)},
        },
        "b>tanh W[b; c], c>tanh W[b; c], tanh W[b; c]>p, p>tanh W[p; e], e>tanh W[p; e], "
        "tanh W[p; e]>root",
    ),
}
TREES = {
    "recursive layer": (
        {
            **{"b": (0, 0), "c": (3, 0), "× W left": (0, 1.1), "× W right": (3, 1.1)},
            **{"a": (-1.2, 2.1), "+": (1.5, 2.1), "tanh": (1.5, 3.1), "p": (1.5, 4.1)},
            **{"softmax V": (3.4, 4.1), "y": (5, 4.1)},
        },
        "b>× W left, c>× W right, × W left>+, × W right>+, a>+, +>tanh, tanh>p, p>softmax V, "
        "softmax V>y",
    ),
    "tensor layer": (
        {
            **{"b": (0, 0), "c": (3, 0), "[b; c]": (1.5, 0.8), "× W": (-0.4, 1.9)},
            **{"× V₁": (1.5, 1.9), "× V_d": (3.4, 1.9), "× [b; c]ᵀ": (2.4, 2.8), "a": (-1.4, 3)},
            **{"+": (1.5, 3.7), "tanh": (1.5, 4.6), "p": (3.2, 4.6)},
        },
        "b>[b; c], c>[b; c], [b; c]>× W, [b; c]>× V₁, [b; c]>× V_d, × V₁>× [b; c]ᵀ, "
        "× V_d>× [b; c]ᵀ, [b; c]>× [b; c]ᵀ, × W>+, × [b; c]ᵀ>+, a>+, +>tanh, tanh>p",
    ),
}


def draw(axes, nodes, arrows):
    """One cell: operations in boxes, states and inputs without; arrows as "a>b, c>d"."""
    patches = {}
    for name, place in nodes.items():
        edge = "0.4" if name.startswith(OPERATIONS) else "none"
        fill = "#DCEBF7" if name.startswith(OPERATIONS) else "white"
        box = {"boxstyle": "round,pad=0.25", "facecolor": fill, "edgecolor": edge}
        text = axes.text(*place, name, ha="center", va="center", fontsize=8, bbox=box)
        patches[name] = text.get_bbox_patch()
    for arrow in arrows.split(", "):
        source, target = arrow.split(">")
        ends = {"patchA": patches[source], "patchB": patches[target], "shrinkA": 1, "shrinkB": 1}
        style = {"arrowstyle": "-|>", "color": "0.55", **ends}
        axes.annotate("", nodes[target], nodes[source], arrowprops=style)
    x, y = zip(*nodes.values(), strict=True)
    axes.set_xlim(min(x) - 0.9, max(x) + 0.9)
    axes.set_ylim(min(y) - 0.6, max(y) + 0.6)
    axes.set_axis_off()


def main(folder=FOLDER):
    for name, size, grid, drawn in (
        ("recurrent_cells", (12, 10), (4, 3), CELLS),
        ("recursive_networks", (11, 3.6), (1, 2), TREES),
    ):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (title, cell) in zip(figure.subplots(*grid).flat, drawn.items(), strict=True):
            axes.set_title(title, fontsize=10, loc="left")
            draw(axes, *cell)
        figure.savefig(Path(folder, f"{name}.png"), dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
