"""The same seed and global batch give the same losses on one device, several, and processes."""

import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_recres import distribute, zoo
from tests.distribute import virtual
from tests.distribute.two_processes import KIND, environments

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(__file__).resolve().parents[2]


def slow_on(*backends):
    """A process that imports TensorFlow, or two, take long; each backend shares in its own way."""
    return pytest.mark.slow if BACKEND in backends else lambda test: test


CPUS = [f"cpu:{i}" for i in range(4)]


@pytest.mark.neutral
def test_processes_agree_on_one_number_alone():
    def agree(numbers):
        """What each process finds, whose means are of float32."""
        mean = np.float32(numbers).mean(dtype=np.float32)
        apart = np.abs(np.float32(numbers) - mean).mean(dtype=np.float32)

        def found(number):
            # What this process puts in, and what all of them get.
            means = {float(number): mean, float(abs(number - mean)): apart}
            devices = distribute.Devices("x", processes=len(numbers), mean=means.__getitem__)
            return devices.agree(number)

        (same,) = {found(number) for number in numbers}
        return same

    assert agree([300] * 512)
    assert agree([12345] * 7)
    assert not agree([300] * 511 + [301])
    assert not agree([299, 300, 301])


def start(jobs, devices=1, **env):
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **virtual.environment(devices),
        **env,
    }
    return subprocess.Popen(
        [sys.executable, ROOT / "tests/distribute/train.py", json.dumps(jobs)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(process):
    try:
        out, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-3000:]
    return json.loads(out.splitlines()[-1])


def job(kind, model="norm", **options):
    return {"kind": kind, "model": model, "options": options}


def refused(**options):
    return job("model_parallel", "frn", **options)


# On JAX, which alone has layouts: jobs, and what is said of them.
REFUSED = [
    (
        refused(layout={"kernel": (None, "model")}),
        "'kernel', which is the whole path of no weight",
    ),
    (refused(layout={".*kernel": (None, None)}), "cuts no weight: no axis in it is 'model'"),
    (
        refused(model_devices=1),
        "must be more than 1 and divide the number of devices, 4, but it",
    ),
    (
        refused(model_devices=3),
        "must be more than 1 and divide the number of devices, 4, but it",
    ),
    (
        refused(layout={"head/kernel": (None, "model")}),
        "into 4 parts, which do not divide 2.",
    ),
]
ONE_PROCESS = {
    # In a process TensorFlow's collectives know one number of devices: another one is alone.
    "tensorflow": [job("single"), job("mirrored", devices=CPUS), job("mirrored", devices=CPUS[:2])],
    "jax": [
        job("single"),
        job("auto"),
        job("single", "frn"),
        job("model_parallel", "frn", model_devices=2),
    ],
    # Batch normalization is refused with several processes.
    "torch": [job("auto", "frn")],
}
REPLICAS = {"tensorflow": [1, 4, 2], "jax": [1, 4, 1, 2], "torch": [1]}
# On JAX: what takes a minute to compile.
MORE = [
    job("single"),
    job("data_parallel", devices=CPUS[:2]),
    job("single", "frn"),
    job("model_parallel", "frn"),
    job("single", "vit"),
    job("model_parallel", "vit", model_devices=2),
]


@pytest.fixture(scope="module")
def alone():
    """What one process says, with four virtual devices where the backend has them."""
    jobs, devices = ONE_PROCESS[BACKEND], 1 if BACKEND == "torch" else 4
    if BACKEND == "jax":
        return results(start([*jobs, *(job for job, _ in REFUSED)], devices))
    if BACKEND == "torch":
        return results(start(jobs, devices))
    return [run for part in (jobs[:2], jobs[2:]) for run in results(start(part, devices))]


def close(a, b):
    assert a["history"].keys() == b["history"].keys()
    for key, values in a["history"].items():
        np.testing.assert_allclose(b["history"][key], values, atol=1e-5, err_msg=key)
    np.testing.assert_allclose(b["weights"], a["weights"], rtol=1e-4)


def compare(jobs, runs, replicas):
    assert [run["replicas"] for run in runs] == replicas
    first = {}
    for job, run in zip(jobs, runs, strict=True):
        losses = run["history"]["loss"]
        assert losses[-1] < losses[0]
        if job["model"] in first:
            close(first[job["model"]], run)
        first.setdefault(job["model"], run)


@slow_on("tensorflow", "torch")
def test_devices_of_one_process_change_no_loss(alone):
    jobs = ONE_PROCESS[BACKEND]
    compare(jobs, alone[: len(jobs)], REPLICAS[BACKEND])


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="layouts are JAX' alone")
def test_other_shares_of_four_devices_change_no_loss():
    compare(MORE, results(start(MORE, devices=4)), [1, 2, 1, 1, 1, 2])


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="one device a process")
def test_two_devices_change_no_loss_of_recurrent_networks():
    kind = "mirrored" if BACKEND == "tensorflow" else "data_parallel"
    names = ["scan", "repeated", "folded"]
    jobs = [job("single", name) for name in names]
    jobs += [job(kind, name, devices=CPUS[:2]) for name in names]
    compare(jobs, results(start(jobs, devices=2)), [1, 1, 1, 2, 2, 2])


@pytest.mark.slow
def test_two_processes_change_no_loss(alone):
    kind, model = KIND[BACKEND], "frn" if BACKEND == "torch" else "norm"
    started = [start([job("auto", model)], **found) for found in environments(BACKEND)]
    try:
        both = [results(process)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [run["process"] for run in both] == [0, 1]
    assert [run["agree"] for run in both] == [[True, False]] * 2
    for run in both:
        assert (run["kind"], run["replicas"], run["processes"]) == (kind, 2, 2)
        close(alone[0], run)


@pytest.mark.neutral
def test_what_tensorflow_shares_out_is_a_copy():
    class Views(keras.utils.PyDataset):
        x = np.arange(12.0).reshape(6, 2)

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return self.x[3 * index :][:3], {"label": self.x[3 * index :][:3, 0]}

    views = Views()
    shared = distribute.Devices("mirrored", replicas=3, shards=False).shard(views)
    assert len(shared) == 2
    for index in range(2):
        for found, wanted in zip(
            keras.tree.flatten(shared[index]), keras.tree.flatten(views[index]), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
            assert not np.shares_memory(found, Views.x)


@pytest.mark.neutral
def test_batches_that_can_make_a_part_are_asked_for_it_alone():
    class Parts(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def part(self, index, process, processes):
            return np.full(3, index), {"label": (process, processes)}

    second = distribute.Devices("data_parallel", replicas=2, processes=2, process=1)
    found, label = second.shard(Parts(workers=1))[1]
    np.testing.assert_array_equal(found, [1, 1, 1])
    assert label == {"label": (1, 2)}
    eight = distribute.Devices("data_parallel", replicas=8, processes=2, process=1)
    with pytest.raises(ValueError, match="a batch of 6 cannot be shared out equally to 8"):
        eight.shard(Parts(workers=1))[1]


@pytest.mark.neutral
def test_every_name_with_a_layout_is_cut():
    # Of the names of a builder with the same layout the one of the fewest parameters.
    found = {}
    for record in sorted(zoo.list(), key=lambda record: record.parameters.total):
        if record.layout:
            found.setdefault((record.builder, *record.layout), record)
    assert found
    for record in found.values():
        paths = [w.path for w in zoo.build(record.name, record.default_tag).weights]
        for key in record.layout:
            assert any(re.fullmatch(key, path) for path in paths), (record.name, key)


def test_what_cannot_be_spread_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=rf"^`kind` on {BACKEND} must be one of .*'mirord'\.$"):
        distribute.scope("mirord").__enter__()
    with pytest.raises(ValueError, match="'devises' is not an option of 'single'"):
        distribute.scope("single", devises=["cpu:0"]).__enter__()
    with distribute.scope("auto") as devices:
        assert devices == distribute.Devices("single")
        assert devices.chief
        batches = object()
        assert devices.shard(batches) is batches
    with pytest.raises(ValueError, match=r"a batch of 33 .* 8 replicas: .* such as 32\.$"):
        distribute.Devices("mirrored", replicas=8).check_batch(33)
    with pytest.raises(ValueError, match=r"a batch of 2 .* such as 8\.$"):
        distribute.Devices("mirrored", replicas=8).check_batch(2)
    distribute.Devices("mirrored", replicas=8).check_batch(32)


@pytest.mark.skipif(BACKEND != "jax", reason="layouts are JAX' alone")
def test_a_layout_that_cuts_nothing_is_an_error(alone):
    with pytest.raises(ValueError, match="needs a `layout`"):
        distribute.scope("model_parallel").__enter__()
    found = alone[len(ONE_PROCESS["jax"]) :]
    for (_, message), result in zip(REFUSED, found, strict=True):
        assert message in result["refused"]


@slow_on("tensorflow", "torch")
def test_processes_say_whether_they_agree(alone):
    assert distribute.Devices("single").agree(7)
    assert all(run["agree"] == [True, True] for run in alone if "agree" in run)


@pytest.mark.skipif(BACKEND != "jax", reason="JAX' alone")
@pytest.mark.parametrize("options", [{"num_processes": 2, "process_id": 0}, {"process_id": 1}])
def test_processes_that_find_one_another_by_themselves_are_initialized(monkeypatch, options):
    from keras_recres.backend import jax_distribution

    asked = []
    monkeypatch.delenv("KERAS_DISTRIBUTION_NUM_PROCESSES", raising=False)
    monkeypatch.setattr(jax_distribution.distribution, "initialize", lambda *a: asked.append(a))
    with distribute.scope("data_parallel", **options):
        pass
    assert asked == [(None, options.get("num_processes"), options["process_id"])]


@pytest.mark.skipif(BACKEND == "torch", reason="not PyTorch's")
def test_a_tpu_that_is_not_there_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="there is no TPU"):
        distribute.scope("tpu").__enter__()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TF_CONFIG is TensorFlow's")
def test_a_chief_is_the_first_of_the_workers(monkeypatch):
    from keras_recres.backend import tensorflow_distribution

    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    numbers = []
    for kind, index in (("chief", 0), ("worker", 0), ("worker", 1)):
        task = {"type": kind, "index": index}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        numbers.append(tensorflow_distribution._process())
    assert numbers == [0, 1, 2]


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's alone")
def test_batch_normalization_is_refused_in_several_processes(monkeypatch):
    from keras_recres.backend import torch_distribution

    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="norm")])
    with pytest.raises(ValueError, match=r"batch normalization \(norm\)"):
        torch_distribution._prepare(model)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="torchrun"):
        distribute.scope("data_parallel").__enter__()
