"""A server of exported models for tests: TensorFlow Serving's two protocols, its C++ loader.

    python -m tests.serve.server FOLDER

serves every `NAME/VERSION` of the folder, prints the addresses for gRPC and REST on one line, and
ends when it is terminated. It is a server for nothing else: it takes requests as they should be,
and tells what the graphs say of their contents.
"""

import base64
import concurrent.futures
import http.server
import json
import pathlib
import re
import signal
import sys
import threading

import grpc
import numpy as np
from google.protobuf import json_format
from tensorflow import dtypes, make_ndarray, make_tensor_proto
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from training.benchmarks.c_api import SavedModel

MAX_BYTES = 64 << 20
SIGNATURES = "signature_def"


class Models:
    """The newest version of every model in a folder."""

    def __init__(self, folder):
        self.models = {}
        for path in pathlib.Path(folder).iterdir():
            versions = [int(p.name) for p in path.iterdir() if p.name.isdecimal()]
            if versions:
                newest = path / str(max(versions))
                self.models[path.name] = (max(versions), SavedModel(newest))

    def find(self, name):
        return self.models[name]


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        spec = request.model_spec
        version, model = self.models.find(spec.name)
        signature = spec.signature_name or "serving_default"
        arrays = {name: _array(proto) for name, proto in request.inputs.items()}
        try:
            answer = model.run(signature, arrays)
        except RuntimeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = spec.name, signature
        response.model_spec.version.value = version
        for name, array in answer.items():
            response.outputs[name].CopyFrom(make_tensor_proto(array))
        return response

    def GetModelMetadata(self, request, context):
        name = request.model_spec.name
        return _metadata(name, *self.models.find(name))


def _array(proto):
    array = make_ndarray(proto)
    return array.astype(object) if proto.dtype == dtypes.string else array


def _metadata(name, version, model):
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name, response.model_spec.version.value = name, version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for key, tables in model.signatures.items():
        definition = signatures.signature_def[key]
        for kind, target in (("inputs", definition.inputs), ("outputs", definition.outputs)):
            for tensor, (path, dtype, shape) in tables[kind].items():
                target[tensor].name = path
                target[tensor].dtype = dtypes.as_dtype(dtype).as_datatype_enum
                for side in shape:
                    target[tensor].tensor_shape.dim.add(size=-1 if side is None else side)
    response.metadata[SIGNATURES].Pack(signatures)
    return response


class Rest(http.server.BaseHTTPRequestHandler):
    models = None
    protocol_version = "HTTP/1.1"
    PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/\d+)?(:predict|/metadata)?")

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def log_message(self, *_):
        pass

    def _answer(self, make):
        match = self.PATH.fullmatch(self.path)
        body = json.dumps(make(match[1], match[2])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _get(self, name, ending):
        number, model = self.models.find(name)
        if ending is None:
            state = {"version": str(number), "state": "AVAILABLE"}
            return {"model_version_status": [state]}
        return json_format.MessageToDict(
            _metadata(name, number, model), preserving_proto_field_name=True
        )

    def _post(self, name, _):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, model = self.models.find(name)
        signature = request.get("signature_name", "serving_default")
        expected = model.signatures[signature]["inputs"]
        in_rows = "instances" in request
        columns = _columns(request["instances"], expected) if in_rows else request["inputs"]
        arrays = {key: _from_json(columns[key], expected[key][1]) for key in expected}
        found = {
            key: array.astype(str).tolist() if array.dtype.kind == "S" else array.tolist()
            for key, array in _decoded(model.run(signature, arrays)).items()
        }
        if not in_rows:
            return {"outputs": found}
        return {
            "predictions": [
                dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)
            ]
        }


def _decoded(outputs):
    """Text as Python strings."""
    return {
        name: np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        for name, array in outputs.items()
    }


def _columns(instances, expected):
    """{input: list} from a list of rows, as the REST protocol has them."""
    rows = [
        row if isinstance(row, dict) and row.keys() != {"b64"} else {next(iter(expected)): row}
        for row in instances
    ]
    return {key: [row[key] for row in rows] for key in expected}


def _from_json(value, dtype):
    if dtype == "string":
        return np.array([base64.b64decode(item["b64"]) for item in value], dtype=object)
    return np.array(value).astype(dtype)


def main(folder):
    models = Models(folder)
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", MAX_BYTES)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(models), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    handler = type("Handler", (Rest,), {"models": models})
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    rest.daemon_threads = True
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    print(f"127.0.0.1:{port} 127.0.0.1:{rest.server_address[1]}", flush=True)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # A parent that was killed leaves its standard input closed or another process as the parent;
    # without a limit a server of a killed test would stay.
    stop.wait(timeout=900)
    rest.shutdown()
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main(sys.argv[1])
