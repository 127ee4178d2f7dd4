"""Virtual devices of a processor: what a test's process asks for before anything else."""

import os

import keras


def environment(count):
    """Environment variables of a process that calls `make` and has so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    # XLA gives all virtual devices one thread a core. On two cores two programs that it has begun
    # can hold one each, and wait for their other halves until it aborts (jaxlib 0.10).
    threads = {"NPROC": str(4 * count)}
    return {"DEVICES": str(count), "CUDA_VISIBLE_DEVICES": "", "XLA_FLAGS": flags, **threads}


def make():
    """Gives TensorFlow the devices that the environment asks for; XLA_FLAGS gives JAX its own."""
    count = int(os.environ.get("DEVICES", "1"))
    if keras.backend.backend() == "tensorflow" and count > 1:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, logical)
