"""Model repositories of other servers: files, loaded and compared, and their configuration."""

import importlib.util
import json
import pathlib
import re

import numpy as np
import pytest

from keras_recres import serve
from keras_recres.serve import formats, repositories
from tests.serve.requests_of import logits_of


def triton_schema():
    """Triton's own messages, of the package tritonclient, or None; its clients are not needed."""
    package = importlib.util.find_spec("tritonclient")
    if package is None:
        return None
    file = pathlib.Path(package.submodule_search_locations[0], "grpc", "model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("triton_model_config", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("server", repositories.FILES)
def test_a_repository_is_what_its_server_reads(server, planar, tmp_path):
    kind, file = repositories.FILES[server]
    try:
        formats.check(kind)
    except (ImportError, ValueError) as reason:
        pytest.skip(str(reason))
    assert serve.export(planar, tmp_path, server=server) == tmp_path / "planar_rec" / "1"
    assert serve.export(planar, tmp_path, server=server) == tmp_path / "planar_rec" / "2"
    x = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
    found = formats.LOADERS[kind](str(tmp_path / "planar_rec" / "1" / file))(x)
    np.testing.assert_allclose(found, logits_of(planar, x), rtol=1e-5, atol=1e-5)
    if server == "openvino":
        config = json.loads((tmp_path / "config" / "config.json").read_text())
        (model,) = (entry["config"] for entry in config["model_config_list"])
        assert (model["name"], model["base_path"]) == ("planar_rec", "/models/planar_rec")
        return
    import onnx
    from google.protobuf import text_format

    graph = onnx.load(tmp_path / "planar_rec" / "1" / file).graph
    config = (tmp_path / "planar_rec" / "config.pbtxt").read_text()
    for value, dims in ((graph.input[0], [2]), (graph.output[0], [2])):
        entry = rf'name: "{value.name}" data_type: TYPE_FP32 dims: \[ (.*?) \]'
        assert [int(n) for n in re.search(entry, config)[1].split(",")] == dims
        batch, *sides = value.type.tensor_type.shape.dim
        assert batch.dim_value == 0
        assert [side.dim_value for side in sides] == dims
    schema = triton_schema()
    if schema is not None:
        parsed = text_format.Parse(config, schema.ModelConfig())
        assert (parsed.name, parsed.backend) == ("planar_rec", "onnxruntime")
    assert (tmp_path / "planar_rec" / "labels.txt").read_text().count("\n") == 2


# What OpenVINO Model Server's schema (src/schema.cpp in its repository) allows a model to say: its
# server refuses a whole file for one other name.
OF_A_MODEL = {
    **dict.fromkeys(("name", "base_path", "target_device"), str),
    **dict.fromkeys(("plugin_config", "model_version_policy", "custom_loader_options"), dict),
    **dict.fromkeys(("stateful", "idle_sequence_cleanup", "low_latency_transformation"), bool),
    **dict.fromkeys(("nireq", "max_sequence_number"), int),
    **{"batch_size": int | str, "shape": dict | str},
}


@pytest.mark.neutral
def test_openvinos_configuration_is_within_the_servers_schema():
    for names in ([], ["planar_rec", "vit3_rec"]):
        config = json.loads(repositories.openvino_config(names))
        assert config.keys() == {"model_config_list"}
        assert all(entry.keys() == {"config"} for entry in config["model_config_list"])
        settings = [entry["config"] for entry in config["model_config_list"]]
        assert [one["name"] for one in settings] == names
        for one in settings:
            assert one.keys() >= {"name", "base_path"}
            assert all(isinstance(value, OF_A_MODEL[name]) for name, value in one.items())


@pytest.mark.neutral
def test_wrong_servers(planar, tmp_path):
    with pytest.raises(ValueError, match="`server` must be 'tensorflow', 'triton' or 'openvino'"):
        serve.export(planar, tmp_path, server="torchserve")
    with pytest.raises(ValueError, match="`formats` are put beside a SavedModel"):
        serve.export(planar, tmp_path, server="triton", formats="onnx")
