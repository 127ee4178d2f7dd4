"""Prefix sums and mazes: right answers, the same for everybody, and mazes as pictures."""

import itertools

import numpy as np
import pytest

from keras_recres.zoo import mazes, problems

pytestmark = pytest.mark.neutral


def test_prefix_sums_are_the_parities_of_what_came_before():
    split = problems.read("prefix_sums/9", "train", 40)
    assert split.data.shape == (40, 9, 1)
    for bits, parities in zip(split.data[..., 0].tolist(), split.labels.tolist(), strict=True):
        assert parities == [sum(bits[: i + 1]) % 2 for i in range(9)]
    assert len({bits.tobytes() for bits in split.data}) > 35
    assert 0.4 < split.data.mean() < 0.6


@pytest.mark.parametrize("dataset", ["prefix_sums/7", "mazes/7", "mazes/7-loops"])
def test_an_example_is_the_same_however_many_are_asked_for(dataset):
    many, few = (problems.read(dataset, "train", count) for count in (problems.BLOCK + 3, 2))
    assert len(many.data) == len(many.labels) == problems.BLOCK + 3
    np.testing.assert_array_equal(few.data, many.data[:2])
    np.testing.assert_array_equal(few.labels, many.labels[:2])
    test = problems.read(dataset, "evaluation", 2)
    assert test.split == "test"
    assert test.tag == dataset.replace("/", "_")
    assert (test.data != few.data).any()
    # Blocks draw for themselves.
    assert (many.data[problems.BLOCK :] != many.data[:3]).any()


def shortest(free, start, end):
    """The length of the shortest path in pixels, and how many there are, by powers of a matrix."""
    pixels = list(zip(*np.nonzero(free), strict=True))
    near = np.array([[abs(a - c) + abs(b - d) == 1 for a, b in pixels] for c, d in pixels], float)
    ways = np.zeros(len(pixels))
    ways[pixels.index(start)] = 1
    for length in itertools.count():
        if ways[pixels.index(end)]:
            return length, int(ways[pixels.index(end)])
        ways = near @ ways


@pytest.mark.parametrize("variant", ["", "-loops", "-ends"])
def test_the_path_of_a_maze_is_the_only_shortest_one(variant):
    split = problems.read(f"mazes/13{variant}", "test", 12)
    loops = ends = 0
    for maze, answer in zip(split.data, split.labels, strict=True):
        free = maze.any(axis=-1)
        (start,), (end,) = (
            list(zip(*np.nonzero(np.all(maze == colour, axis=-1)), strict=True))
            for colour in (mazes.START, mazes.END)
        )
        assert not free[[0, -1]].any()
        assert not free[:, [0, -1]].any()
        assert shortest(free, start, end) == (answer.sum() - 1, 1)
        assert mazes.is_path(maze, answer)
        # A tree has a door less than cells; cells are at odd places, doors between two of them.
        cells, doors = free[1::2, 1::2].sum(), free.sum() - free[1::2, 1::2].sum()
        assert cells == 36
        loops += doors - 35
        for i, j in (start, end):
            ends += free[i - 1 : i + 2, j - 1 : j + 2].sum() == 2
    assert loops == 0 if variant != "-loops" else loops > 12
    assert ends == 24 if variant == "-ends" else 0 < ends < 24


def test_two_shortest_paths_count_as_none():
    square = [[1, 2], [0, 3], [0, 3], [1, 2]]
    assert mazes.only_path(square, 0, 3) is None
    assert mazes.only_path(square, 0, 2) == [0, 2]


def test_a_maze_comes_back_from_its_picture():
    split = problems.read("mazes/9", "test", 1)
    maze, answer = split.data[0], split.labels[0]
    picture = np.uint8(255) * maze.astype(np.uint8).repeat(6, 0).repeat(6, 1)
    # As JPEG would leave it.
    noisy = np.clip(picture + np.random.default_rng(0).integers(-40, 40, picture.shape), 0, 255)
    for image in (picture, noisy.astype(np.uint8)):
        found, scale = mazes.from_picture(image)
        np.testing.assert_array_equal(found, maze)
        assert scale == 6
    drawn = mazes.with_path(maze, answer)
    assert (drawn == mazes.PATH).all(axis=-1).sum() == answer.sum() - 2
    for colour in (mazes.START, mazes.END, mazes.WALL):
        where = np.all(maze == colour, axis=-1)
        assert (drawn[where] == 255 * np.array(colour)).all()


def test_lines_that_are_not_paths_are_recognised():
    split = problems.read("mazes/9", "test", 1)
    maze, answer = split.data[0], split.labels[0]
    assert mazes.is_path(maze, answer)
    for place in zip(*np.nonzero(answer), strict=True):
        broken = answer.copy()
        broken[place] = 0
        assert not mazes.is_path(maze, broken)
    for place in zip(*np.nonzero(1 - answer), strict=True):
        more = answer.copy()
        more[place] = 1
        assert not mazes.is_path(maze, more)


@pytest.mark.parametrize(
    ("place", "colour", "said"),
    [((1, 1), (0, 0, 255), "not a maze"), ((0, 0), (0, 255, 0), "one green")],
)
def test_a_picture_that_is_not_a_maze_is_one_sentence(place, colour, said):
    picture = np.uint8(255) * problems.read("mazes/5", "test", 1).data[0].astype(np.uint8)
    picture[place] = colour
    with pytest.raises(ValueError, match=said):
        mazes.from_picture(picture)


@pytest.mark.parametrize(
    "dataset",
    [
        "prefix_sums/0",
        "prefix_sums",
        "prefix_sums/8-loops",
        "mazes/10",
        "mazes/3",
        "mazes/x",
        "mazes/11-lops",
        "mazes/11-",
    ],
)
def test_wrong_sizes_are_one_sentence(dataset):
    with pytest.raises(ValueError, match=r"called by their size, as in .*/\d+, "):
        problems.read(dataset, "test")


def test_other_data_sets_are_not_problems():
    assert problems.parse("cifar10") is None
    assert problems.parse("mazes/11-loops") == ("mazes", 11, "loops")
    with pytest.raises(ValueError, match="no split 'validation', only train, test"):
        problems.read("mazes/5", "validation")
