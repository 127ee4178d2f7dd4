"""What the environment tells each of two processes on one machine."""

import json
import socket

from tests.distribute import virtual

KIND = {"tensorflow": "multi_worker", "jax": "data_parallel", "torch": "data_parallel"}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def environments(backend):
    """Two dicts of environment variables, the first process' first."""
    ports = free_ports(2)
    hosts = [f"127.0.0.1:{port}" for port in ports]
    return [
        {
            "tensorflow": {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}
                )
            },
            "jax": {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(hosts),
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(i),
                "XLA_FLAGS": virtual.environment(1)["XLA_FLAGS"],
            },
            "torch": {
                "WORLD_SIZE": "2",
                "RANK": str(i),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(ports[0]),
            },
        }[backend]
        for i in range(2)
    ]
