"""Clock and memory of a benchmark's process."""

import resource
import sys
import time


def peak_mib():
    """The most memory this process has held, MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def seconds(function, repeats, budget=5.0):
    """The least of several timings of a function that waits for its result.

    The least, not the mean: whatever else the machine does can only add to a timing.

    Args:
        function: Called without arguments.
        repeats: Timings at the most.
        budget: Seconds after which no further one begins; two are taken in any case, if allowed.

    Returns:
        Seconds of one call.
    """
    times = []
    while len(times) < repeats and (len(times) < 2 or sum(times) < budget):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def seconds_in_turn(functions, repeats, budget=5.0):
    """As `seconds`, for functions that are compared: they take turns.

    What the machine does besides then slows all of them, and not the one whose turn it was.

    Args:
        functions: dict of functions that are called without arguments.
        repeats: Rounds at the most.
        budget: Seconds after which no further round begins; two are taken in any case.

    Returns:
        dict of the seconds of one call.
    """
    times, start = {name: [] for name in functions}, time.perf_counter()
    for turn in range(repeats):
        if turn >= 2 and time.perf_counter() - start >= budget:
            break
        for name, function in functions.items():
            times[name].append(seconds(function, 1))
    return {name: min(found) for name, found in times.items()}
