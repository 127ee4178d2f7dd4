"""Pairs of curves in the plane, one a class, for the planar experiment."""

import numpy as np

from training.errors import UserError, nearest

RADII = (0.75, 5.0)


def spiral(count, turns=1.0, radii=RADII):
    """Two arms, each the other turned by half a turn; the radius grows evenly with the angle."""
    t = np.linspace(0, 1, count)
    radius = radii[0] + (radii[1] - radii[0]) * t
    angle = 2 * np.pi * turns * t
    arm = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return arm, -arm


def circles(count, radii=(2.0, 4.0)):
    """Two circles with one centre."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return radii[0] * unit, radii[1] * unit


def moons(count, radius=3.0):
    """Two half circles that reach into one another."""
    angle = np.linspace(0, np.pi, count)
    upper = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shift = np.array([radius / 2, -radius / 4])
    return upper - shift, shift - upper


def waves(count, amplitude=2.0, gap=1.5):
    """Two sine waves of two periods, one above the other."""
    t = np.linspace(-4, 4, count)
    wave = amplitude * np.sin(np.pi * t / 2)
    return np.stack([t, wave + gap / 2], axis=1), np.stack([t, wave - gap / 2], axis=1)


FAMILIES = {
    "spiral": spiral,
    "small spiral": lambda count: spiral(count, radii=(0.25, 1.5)),
    "half spiral": lambda count: spiral(count, turns=0.5),
    "long spiral": lambda count: spiral(count, turns=1.5),
    "circles": circles,
    "moons": moons,
    "waves": waves,
}


def check(family):
    """Raises a UserError for a family that there is not."""
    if family not in FAMILIES:
        raise UserError(
            f"--curves must be one of {', '.join(FAMILIES)}, found {family!r}."
            f"{nearest(family, FAMILIES)}"
        )


def points(family, count=100):
    """The points of both curves of a family and their classes.

    Args:
        family: A key of `FAMILIES`.
        count: Points on each curve.

    Returns:
        Points, float32 of shape (2 · count, 2), and classes 0 and 1, int32 of shape (2 · count,).
    """
    first, second = FAMILIES[family](count)
    return (
        np.concatenate([first, second]).astype("float32"),
        np.repeat(np.arange(2, dtype="int32"), count),
    )
