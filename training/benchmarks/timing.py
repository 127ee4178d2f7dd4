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
