"""Requests of TensorFlow Serving's own clients, good and bad, to the exported models."""

import base64
import concurrent.futures
import json
import shutil
import subprocess
import threading
import urllib.request

import numpy as np
import pytest

from tests.serve.conftest import LABELS
from tests.serve.requests_of import encode, logits_of, logits_of_files

pytestmark = pytest.mark.slow
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
TOO_LARGE = (5000, 10000)  # 50 megapixels


@pytest.fixture(scope="module")
def stub(server):
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    options = [("grpc.max_send_message_length", 1 << 27)]
    with grpc.insecure_channel(server.grpc, options=options) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(model, signature="serving_default", **inputs):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return message


def ask(stub, *args, **inputs):
    import tensorflow as tf

    answer = stub.Predict(request(*args, **inputs), timeout=60)
    return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}


def refusal(stub, message):
    """The code and the sentence with which a request is refused."""
    import grpc

    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(message, timeout=60)
    return caught.value.code().name, caught.value.details()


def http(server, path, body=None):
    """The JSON that answers a REST request."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://{server.rest}{path}", data, timeout=60) as answer:
        return json.load(answer)


def test_predict(stub, vit, pixels):
    x = np.asarray(vit.preprocess(pixels[:5]))
    found = ask(stub, "tiny_vit", images=x)
    expected = logits_of(vit, x)
    np.testing.assert_allclose(found["logits"], expected, **CLOSE)
    classes = [name.decode() for name in found["classes"]]
    assert classes == [LABELS[i] for i in expected.argmax(1)]
    files = [encode(pixels[0]), encode(pixels[1], "JPEG")]
    found = ask(stub, "tiny_vit", "serving_bytes", image_bytes=files)
    np.testing.assert_allclose(found["logits"], logits_of_files(vit, files), **CLOSE)


def test_metadata(server, stub):
    from tensorflow_serving.apis import get_model_metadata_pb2

    message = get_model_metadata_pb2.GetModelMetadataRequest()
    message.model_spec.name = "tiny_vit"
    message.metadata_field.append("signature_def")
    packed = stub.GetModelMetadata(message, timeout=60).metadata["signature_def"]
    found = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(found)
    names = {"features", "serving_bytes", "serving_default", "serving_steps"}
    assert {*found.signature_def} == names
    images = found.signature_def["serving_steps"].inputs["images"]
    assert [d.size for d in images.tensor_shape.dim] == [-1, 32, 32, 3]
    answer = http(server, "/v1/models/tiny_vit/metadata")
    assert {*answer["metadata"]["signature_def"]["signature_def"]} == names
    assert http(server, "/v1/models/tiny_vit")["model_version_status"][0]["version"] == "1"


def test_rest_in_rows_and_columns(server, planar):
    x = np.array([[0.5, -1], [2, 0.25], [0, 1]], "float32")
    expected = logits_of(planar, x)
    path = "/v1/models/planar_rec:predict"
    answer = http(server, path, {"instances": x.tolist()})
    np.testing.assert_allclose([row["logits"] for row in answer["predictions"]], expected, **CLOSE)
    assert [row["classes"] for row in answer["predictions"]] == [str(i) for i in expected.argmax(1)]
    answer = http(server, path, {"inputs": {"inputs": x.tolist()}})
    np.testing.assert_allclose(answer["outputs"]["logits"], expected, **CLOSE)
    rows = [{"inputs": row, "steps": [13]} for row in x.tolist()]
    path = "/v1/models/planar_rec/versions/1:predict"
    answer = http(server, path, {"signature_name": "serving_steps", "instances": rows})
    np.testing.assert_allclose([row["logits"] for row in answer["predictions"]], expected, **CLOSE)


def test_curl_sends_an_image(server, vit, pixels, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    file = encode(pixels[3], "JPEG", quality=90)
    body = {
        "signature_name": "serving_bytes",
        "instances": [{"b64": base64.b64encode(file).decode()}],
    }
    (tmp_path / "body.json").write_text(json.dumps(body))
    url = f"http://{server.rest}/v1/models/tiny_vit:predict"
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "-d", f"@{tmp_path / 'body.json'}", url],
        capture_output=True,
        check=True,
    )
    (row,) = json.loads(done.stdout)["predictions"]
    np.testing.assert_allclose([row["logits"]], logits_of_files(vit, [file]), **CLOSE)


def broken_images(pixels):
    """(what is wrong, a file, a part of the sentence that must say it)."""
    noise = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype="uint8")
    jpeg, png = encode(noise, "JPEG"), encode(noise)
    bomb = np.zeros((*TOO_LARGE, 3), "uint8")
    lying = png[:16] + b"\x7f\xff\xff\xff" * 2 + png[24:]
    return [
        ("truncated JPEG", jpeg[: len(jpeg) // 2], "Invalid JPEG data"),
        ("a header of a JPEG", jpeg[:30], "Invalid JPEG data"),
        ("truncated PNG", png[: len(png) // 2], "Invalid PNG data"),
        ("a header of a PNG", png[:20], "neither a JPEG nor a PNG"),
        ("a flipped byte in a PNG", png[:100] + b"\x00\xff\x00" + png[103:], "Invalid PNG data"),
        ("GIF", encode(noise, "GIF"), "neither a JPEG nor a PNG"),
        ("text", b"cat", "neither a JPEG nor a PNG"),
        ("nothing", b"", "neither a JPEG nor a PNG"),
        ("50-megapixel JPEG", encode(bomb, "JPEG"), "must have 1 to 16777216 pixels"),
        ("50-megapixel PNG", encode(bomb), "must have 1 to 16777216 pixels"),
        ("PNG that says it is larger still", lying, "must have 1 to 16777216 pixels"),
        ("a line", encode(np.zeros((1, 60000, 3), "uint8")), "too thin"),
    ]


@pytest.fixture(scope="module")
def broken(pixels):
    return broken_images(pixels)


def test_broken_images_are_refused_and_cost_no_memory(server, stub, broken, pixels):
    good = encode(pixels[0])
    ask(stub, "tiny_vit", "serving_bytes", image_bytes=[good])
    before = server.memory()
    for what, file, sentence in broken:
        message = request("tiny_vit", "serving_bytes", image_bytes=[good, file])
        code, details = refusal(stub, message)
        assert (code, sentence in details) == ("INVALID_ARGUMENT", True), (what, details)
    # One of them, decoded, would take 150 MB and 600 MB more as floats.
    assert server.memory() - before < 100e6
    assert ask(stub, "tiny_vit", "serving_bytes", image_bytes=[good])["logits"].shape == (1, 5)


def test_wrong_tensors(stub):
    """What the graphs themselves refuse, whatever server runs them."""
    x = np.zeros((2, 32, 32, 3), "float32")
    steps = np.ones((2, 2), "int32")
    for message, sentence in (
        (
            request("tiny_vit", images=x[:, :16]),
            "images must have shape (batch, 32, 32, 3), not] [2",
        ),
        (request("tiny_vit", images=x[0]), "must have shape (batch, 32, 32, 3), not] [32 32 3]"),
        (request("tiny_vit", images=np.float32(1)), "images must have shape (batch, 32, 32, 3)"),
        (request("tiny_vit", images=x[..., :1]), "not] [2 32 32 1]"),
        (request("tiny_vit", "serving_bytes", image_bytes=[[b"a"]]), "must have shape (batch)"),
        (request("planar_rec", inputs=x[:1, 0, 0]), "must have shape (batch, 2), not] [1 3]"),
        (request("tiny_vit", "serving_steps", images=x, steps=steps * 0), "between 1 and 64"),
        (request("tiny_vit", "serving_steps", images=x, steps=steps * 65), "between 1 and 64"),
        (request("tiny_vit", "serving_steps", images=x, steps=steps[:1]), "a row for every exam"),
        (request("tiny_vit", "serving_steps", images=x, steps=steps[0]), "shape (batch, 2), not"),
    ):
        code, details = refusal(stub, message)
        assert (code, sentence in details) == ("INVALID_ARGUMENT", True), details


def test_hundreds_of_requests_at_once(server, stub, planar, vit, pixels, broken):
    """Good and bad ones from eight threads: every answer is right, and memory does not grow."""
    x = np.random.default_rng(1).uniform(-3, 3, (50, 2)).astype("float32")
    expected = logits_of(planar, x)
    files = [encode(image, "JPEG") for image in pixels[:4]]
    expected_images = logits_of_files(vit, files)
    # The large ones are in the test above.
    bad = [file for _, file, _ in broken if len(file) < 20000]
    counts, lock = {"good": 0, "bad": 0}, threading.Lock()

    def one(i):
        import grpc

        kind = "good"
        if i % 20 == 7:
            found = ask(stub, "tiny_vit", "serving_bytes", image_bytes=files)
            np.testing.assert_allclose(found["logits"], expected_images, **CLOSE)
        elif i % 10 == 3:
            kind = "bad"
            with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                ask(stub, "tiny_vit", "serving_bytes", image_bytes=[files[0], bad[i % len(bad)]])
        else:
            rows = np.arange(i % 7 + 1) + i % 43
            found = ask(stub, "planar_rec", inputs=x[rows])
            np.testing.assert_allclose(found["logits"], expected[rows], **CLOSE)
        with lock:
            counts[kind] += 1

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(120)))
        before = server.memory()
        list(pool.map(one, range(120, 360)))
    assert counts == {"good": 324, "bad": 36}
    assert server.memory() - before < 20e6
