"""Mazes: drawn, solved, read from pictures and drawn into them.

A maze is int8 (height, width, 3) of zeros and ones, the colours of its picture: white is free,
black a wall, red the start, green the end. Its answer is an integer array (height, width), 1 on the
path, both ends included.
"""

import collections
import itertools

import numpy as np

# Part of the inner walls that the variant "loops" takes away.
OPEN = 0.1
COLOURS = FREE, WALL, START, END = (1, 1, 1), (0, 0, 0), (1, 0, 0), (0, 1, 0)
PATH = (30, 100, 255)


def draw(rng, side, variant=""):
    """One maze, drawn by a depth-first walk over all cells.

    Args:
        rng: NumPy generator.
        side: Odd number of pixels: (side − 1) / 2 cells and the walls around them.
        variant: "", "loops" or "ends".

    Returns:
        Colours, int8 (side, side, 3), and the path, int64 (side, side): 1 on it, both ends too.
    """
    cells = side // 2
    around = [
        [
            (r + i) * cells + c + j
            for i, j in ((-1, 0), (0, -1), (0, 1), (1, 0))
            if 0 <= r + i < cells and 0 <= c + j < cells
        ]
        for r, c in itertools.product(range(cells), repeat=2)
    ]
    doors = [[] for _ in around]
    draws = iter(rng.random(8 * len(around)).tolist())
    walk, seen = [int(next(draws) * len(around))], bytearray(len(around))
    seen[walk[0]] = 1
    while walk:
        fresh = [cell for cell in around[walk[-1]] if not seen[cell]]
        if not fresh:
            walk.pop()
            continue
        cell = fresh[int(next(draws) * len(fresh))]
        _open(doors, walk[-1], cell)
        seen[cell] = 1
        walk.append(cell)
    if variant == "loops":
        for a, near in enumerate(around):
            for b in near:
                if a < b and b not in doors[a] and next(draws) < OPEN:
                    _open(doors, a, b)
    ends = [cell for cell, to in enumerate(doors) if variant != "ends" or len(to) == 1]
    path = None
    while path is None:
        start, end = rng.choice(ends, 2, replace=False).tolist()
        path = only_path(doors, start, end)
    picture = np.zeros((side, side, 3), np.int8)
    answer = np.zeros((side, side), np.int64)
    pixels = [(2 * (cell // cells) + 1, 2 * (cell % cells) + 1) for cell in range(len(around))]
    for a, to in enumerate(doors):
        picture[pixels[a]] = FREE
        for b in to:
            picture[_between(pixels[a], pixels[b])] = FREE
    picture[pixels[start]], picture[pixels[end]] = START, END
    for a, b in itertools.pairwise(path):
        answer[pixels[a]] = answer[pixels[b]] = answer[_between(pixels[a], pixels[b])] = 1
    return picture, answer


def only_path(doors, start, end):
    """The shortest path between two cells, a list of cells; None if there are two of them.

    Args:
        doors: For each cell the list of those that it leads to.
        start: The first cell.
        end: The last one.
    """
    ways, distance, before = {start: 1}, {start: 0}, {}
    open_ = collections.deque([start])
    while open_:
        cell = open_.popleft()
        for to in doors[cell]:
            if to not in distance:
                distance[to], before[to], ways[to] = distance[cell] + 1, cell, ways[cell]
                open_.append(to)
            elif distance[to] == distance[cell] + 1:
                ways[to] += ways[cell]
    if ways[end] > 1:
        return None
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def from_picture(picture):
    """A maze out of its picture, in which a cell may be many pixels wide.

    Args:
        picture: uint8 (height, width, 3): white is free, black a wall, red the start, green the
            end.

    Returns:
        The maze, int8 (height, width, 3) of zeros and ones, and how many pixels a cell is wide.

    Raises:
        ValueError: It has other colours, or not one start and one end.
    """
    bits = (picture >= 128).astype(np.int8)
    scale = next(
        n
        for n in range(min(bits.shape[:2]), 0, -1)
        if not (bits.shape[0] % n or bits.shape[1] % n)
        and np.array_equal(bits, bits[::n, ::n].repeat(n, 0).repeat(n, 1))
    )
    maze = bits[::scale, ::scale]
    found = {colour: int(np.all(maze == colour, axis=-1).sum()) for colour in COLOURS}
    if sum(found.values()) < maze[..., 0].size or (found[START], found[END]) != (1, 1):
        raise ValueError(
            "is not a maze: it is white where one can go, black where not, with one red cell, the "
            "start, and one green one, the end"
        )
    return maze, scale


def with_path(maze, answer):
    """The picture of a maze with an answer, uint8 (height, width, 3): the path is blue."""
    on = (answer == 1) & np.all(maze == FREE, axis=-1)
    return np.where(on[..., None], np.uint8(PATH), np.uint8(255) * maze.astype(np.uint8))


def is_path(maze, answer):
    """Whether an answer is one line of free cells from the start to the end, with no branch."""
    on = np.pad((answer == 1) & maze.any(axis=-1), 1)
    near = on[:-2, 1:-1] * 1 + on[2:, 1:-1] + on[1:-1, :-2] + on[1:-1, 2:]
    on, near = on[1:-1, 1:-1], np.where(on[1:-1, 1:-1], near, 0)
    ends = np.all(maze == START, axis=-1) | np.all(maze == END, axis=-1)
    # A closed line beside the path is not reached from the start: the answer is wrong.
    reached = np.all(maze == START, axis=-1)
    for _ in range(int(on.sum())):
        wide = np.pad(reached, 1)
        around = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        reached |= around & on
    return bool(
        (on == answer.astype(bool)).all()
        and (reached == on).all()
        and (near[ends] == 1).all()
        and (near[on & ~ends] == 2).all()
    )


def _open(doors, a, b):
    doors[a].append(b)
    doors[b].append(a)


def _between(a, b):
    return (a[0] + b[0]) // 2, (a[1] + b[1]) // 2
