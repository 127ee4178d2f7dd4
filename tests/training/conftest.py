"""The small data set, packed, and a command line that learns it."""

import pytest
from pictures import stripes

from training import packed


@pytest.fixture(scope="session")
def stripes_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    packed.write(path, [stripes(512, 0, "train"), stripes(128, 1, "test")])
    return path


@pytest.fixture
def fit_arguments(stripes_file, tmp_path):
    """A command line of training.fit that learns stripes in seconds."""

    def make(out="run", **options):
        options = {"epochs": 3, "batch-size": 32, "learning-rate": 3e-3, **options}
        return [
            "vit3",
            "--dataset=stripes",
            f"--data-dir={stripes_file}",
            f"--out={tmp_path / out}",
            *(f"--{key}={value}" for key, value in options.items()),
            "--model-arguments",
            "depth=1",
            "embed_dim=32",
            "token_dim=16",
            "num_heads=2",
            "first_strides=4",
        ]

    return make
