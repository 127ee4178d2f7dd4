"""Clock and memory of a benchmark's process."""

import time


def one_thread_an_operation():
    """On a backend that lets this be said before anything is computed."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)


def peak_mib():
    """The most memory this process has held, MiB."""
    from keras_recres.zoo.fine_tuning import peak_memory

    return peak_memory() / 2**20


def seconds(function, repeats, budget=5.0, clock=time.perf_counter):
    """The least of several timings of a function that waits for its result.

    The least, not the mean: whatever else the machine does can only add to a timing.

    Args:
        function: Called without arguments.
        repeats: Timings at the most.
        budget: Seconds after which no further one begins; two are taken in any case, if allowed.
        clock: `time.process_time` for those of the processor, which other processes add less to.

    Returns:
        Seconds of one call.
    """
    times = []
    while len(times) < repeats and (len(times) < 2 or sum(times) < budget):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def seconds_in_turns(functions, repeats, budget=5.0, clock=time.perf_counter):
    """The least of several timings of each of several functions, one after the other in turns.

    Each is called once before, for what is compiled at the first call.

    Args:
        functions: dict of str to functions without arguments that wait for their result.
        repeats: Timings of each at the most.
        budget: Seconds after which no further turn begins; two are taken in any case, if allowed.
        clock: As for `seconds`.

    Returns:
        A dict of str to the seconds of one call.
    """
    for function in functions.values():
        function()
    turns, spent = [], 0.0
    while len(turns) < repeats and (len(turns) < 2 or spent < budget):
        turn = {name: seconds(f, 1, clock=clock) for name, f in functions.items()}
        turns.append(turn)
        spent += sum(turn.values())
    return {name: min(turn[name] for turn in turns) for name in functions}
