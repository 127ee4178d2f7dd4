"""Models on a hub: that of this machine, which speaks the part of its API that is used."""

import os
import subprocess
import sys
import textwrap

import pytest

from keras_recres import zoo
from tests.zoo import hub_server

# A word for each answer of the hub, by its own client in a process of its own, since that reads
# its settings when it is imported.
TRIP = """
    import numpy as np
    from keras_recres import zoo

    model = zoo.load("planar_rec", classes=["inside", "outside"])
    x = np.ones((1, 2), "float32")
    first = zoo.push(model, "hf://me/spirals")
    model.class_names = ("in", "out")
    second = zoo.push(model, "hf://me/spirals")
    assert first != second
    again = zoo.load("hf://me/spirals", progress=False)
    assert again.class_names == ("in", "out"), again.class_names
    np.testing.assert_allclose(np.asarray(again.predict(x, verbose=0)), model.predict(x, verbose=0))
    assert zoo.load(first).class_names == ("inside", "outside")
    assert zoo.load(second, offline=True).class_names == ("in", "out")
"""
REFUSALS = """
    import os
    from keras_recres import zoo

    def sentence(function, *arguments):
        try:
            function(*arguments)
        except (OSError, ValueError) as error:
            print(type(error).__name__, error)

    sentence(zoo.load, "hf://me/none")
    sentence(zoo.load, "hf://me/spirals@v2")
    sentence(zoo.load, "hf://me/empty")
    model = zoo.load("planar_rec")
    for token in ("", "hf_wrong"):
        os.environ["HF_TOKEN"] = token
        sentence(zoo.push, model, "hf://me/spirals")
"""
NO_NETWORK = """
    from keras_recres import zoo

    for function in (zoo.load, lambda address: zoo.push(zoo.load("planar_rec"), address)):
        try:
            function("hf://me/spirals")
        except OSError as error:
            print(type(error).__name__, error)
"""


def run(code, endpoint, home):
    pytest.importorskip("huggingface_hub")
    # Of any other machine's settings none.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_TOKEN": hub_server.TOKEN}
    hub |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**own, **hub},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_what_is_pushed_is_loaded_again(tmp_path):
    with hub_server.hub() as server:
        run(TRIP, server.address, tmp_path)
        (_, first, second) = server.repositories["me/spirals"]
    assert {*second} == {
        "README.md",
        "config.json",
        "golden.npz",
        "manifest.json",
        "model.weights.h5",
    }
    assert b'zoo.load("hf://me/spirals")' in second["README.md"]
    assert first["config.json"] != second["config.json"]


@pytest.mark.slow
@pytest.mark.neutral
def test_what_the_hub_refuses_is_a_sentence(tmp_path):
    with hub_server.hub() as server:
        server.repositories |= {"me/spirals": [{}], "me/empty": [{"README.md": b"Nothing."}]}
        said = run(REFUSALS, server.address, tmp_path)
    kinds = [line.split()[0] for line in said]
    assert kinds == ["FileNotFoundError"] * 3 + ["PermissionError"] * 2
    assert "hf://me/none: there is no such repository" in said[0]
    assert "hf://me/spirals@v2: the repository has no such revision" in said[1]
    assert "has no config.json: give a folder that zoo.save wrote" in said[2]
    assert all("hf auth login" in line for line in said[3:])


@pytest.mark.slow
@pytest.mark.neutral
def test_without_a_network_it_is_one_sentence(tmp_path):
    said = run(NO_NETWORK, "http://127.0.0.1:9", tmp_path)
    assert [line.split()[0] for line in said] == ["FileNotFoundError", "OSError"]
    assert all("check the network" in line for line in said)


@pytest.mark.neutral
def test_an_address_is_a_user_and_a_repository(monkeypatch):
    for address in ("hf://spirals", "hf://a/b/c", "hf://", "hf://a/b@"):
        with pytest.raises(ValueError, match="an address of the hub is 'hf://USER/REPO'"):
            zoo.load(address)
    with pytest.raises(ValueError, match="leave out '@main'"):
        zoo.push(None, "hf://a/b@main")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-recres\[hub\]'"):
        zoo.load("hf://a/b")
