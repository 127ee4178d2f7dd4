"""CIFAR-10 re-encoded as JPEG is the copy that the zoo's networks were trained on."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.training.pictures import plain_cifar10
from training import data, errors
from training.data import reencode
from training.data.__main__ import main as data_main

pytestmark = pytest.mark.neutral


@pytest.fixture(scope="module")
def plain(tmp_path_factory, data_dir):
    pytest.importorskip("tensorflow_datasets")
    return plain_cifar10(data_dir, tmp_path_factory.mktemp("plain"))


@pytest.mark.slow
def test_an_interrupted_re_encoding_goes_on_and_is_the_zoos_copy(
    plain, data_dir, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("jpeglib")
    command = ["reencode", "cifar10", f"--data-dir={plain}", f"--out={tmp_path}"]
    encode, encoded = reencode.encode, []

    def counted(*given):
        encoded.append(1)
        if len(encoded) == 900:
            raise KeyboardInterrupt
        return encode(*given)

    monkeypatch.setattr(reencode, "PIECE", 400)
    monkeypatch.setattr(reencode, "encode", counted)
    assert errors.run(data_main, command) == 130
    assert not (tmp_path / "cifar10" / "3.0.2").exists()
    assert errors.run(data_main, command) == 0
    assert len(encoded) == 900 + 2 * 1017 - 800
    out = capsys.readouterr().out
    assert "test: 1,017 images, byte for byte those of the zoo's cifar10_jpeg" in out
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["3.0.2"]
    made, source = (data.read_encoded("cifar10", "test", d) for d in (tmp_path, plain))
    assert (made.tag, source.tag) == ("cifar10_jpeg", "cifar10")
    np.testing.assert_array_equal(made.labels, source.labels)
    assert errors.run(data_main, command) == 2
    assert "is there already: give another --out." in capsys.readouterr().err


@pytest.mark.slow
def test_pixels_of_another_encoder_are_counted(plain, data_dir, tmp_path, monkeypatch, capsys):
    pytest.importorskip("jpeglib")

    def pillow(pixels, folder):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=75)
        return file.getvalue()

    monkeypatch.setattr(reencode, "encode", pillow)
    part = ["reencode", "cifar10_lossless_part", f"--out={tmp_path}"]
    assert errors.run(data_main, [*part, f"--data-dir={data_dir}"]) == 0
    out = capsys.readouterr().out
    assert "1,017 images, 394,250 pixels in 857 of them differ from " in out
    jpeg = data_dir / "tfds_cifar10_jpeg"
    for dataset, where, said in (
        ("cifar10", jpeg, "are JPEG already."),
        ("mnist", data_dir / "tfds", "only cifar10 and cifar10_lossless_part can."),
        ("cifar10", tmp_path, "fetch it with `python -m training.data download cifar10"),
    ):
        command = ["reencode", dataset, f"--data-dir={where}", f"--out={tmp_path}/more"]
        assert errors.run(data_main, command) == 2
        assert said in capsys.readouterr().err


def test_without_the_encoder_it_says_what_to_install(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reencode.importlib.util, "find_spec", lambda name: None)
    folder = data_dir / "tfds"
    command = ["reencode", "cifar10_lossless_part", f"--data-dir={folder}", f"--out={tmp_path}"]
    assert errors.run(data_main, command) == 2
    assert "`pip install jpeglib`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
