"""A server of exported models for tests: TensorFlow Serving's two protocols, its C++ loader.

    python -m tests.serve.server FOLDER

serves every `NAME/VERSION` of the folder, prints the addresses for gRPC and REST on one line, and
ends when it is terminated. It is no server for anything else: no batching, no security.
"""

import base64
import binascii
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
from tensorflow import DType, dtypes, make_ndarray, make_tensor_proto
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from training.benchmarks.c_api import SavedModel

MAX_BYTES = 64 << 20
SIGNATURES = "signature_def"


class Refused(Exception):
    """What was wrong with a request."""

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code = code


class Models:
    """The newest version of every model in a folder."""

    def __init__(self, folder):
        self.models = {}
        for path in pathlib.Path(folder).iterdir():
            versions = [int(p.name) for p in path.iterdir() if p.name.isdecimal()]
            if versions:
                newest = path / str(max(versions))
                self.models[path.name] = (max(versions), SavedModel(newest))

    def find(self, name, version=None):
        if name not in self.models or version not in (None, self.models[name][0]):
            which = name if version is None else f"{name} of version {version}"
            raise Refused(grpc.StatusCode.NOT_FOUND, f"there is no model {which!r}")
        return self.models[name]

    def signature(self, model, name):
        if name not in model.signatures:
            known = ", ".join(sorted(model.signatures))
            raise _invalid(f"there is no signature {name!r}; the model has {known}")
        return model.signatures[name]

    def predict(self, model, signature, inputs):
        """Answers; `inputs` are arrays, checked against the signature as far as a server can."""
        expected = self.signature(model, signature)["inputs"]
        if inputs.keys() != expected.keys():
            raise _invalid(
                f"inputs must be exactly {sorted(expected)}, but they are {sorted(inputs)}"
            )
        for name, array in inputs.items():
            wanted, found = expected[name][1], array.dtype.name
            if wanted != ("string" if array.dtype.kind in "SO" else found):
                raise _invalid(f"input {name!r} must be {wanted}, but it is {found}")
        try:
            return model.run(signature, inputs)
        except RuntimeError as error:
            raise _invalid(str(error)) from None


def _invalid(sentence):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, sentence)


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        spec = request.model_spec
        return self._answer(context, lambda: self._predict(request, spec))

    def _predict(self, request, spec):
        version, model = self._find(spec)
        signature = spec.signature_name or "serving_default"
        arrays = {name: _array(name, proto) for name, proto in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = spec.name, signature
        response.model_spec.version.value = version
        for name, array in self.models.predict(model, signature, arrays).items():
            response.outputs[name].CopyFrom(make_tensor_proto(array))
        return response

    def GetModelMetadata(self, request, context):
        return self._answer(context, lambda: self._metadata(request))

    def _metadata(self, request):
        version, model = self._find(request.model_spec)
        if list(request.metadata_field) != [SIGNATURES]:
            raise _invalid(f"metadata_field must be {SIGNATURES!r}")
        return _metadata(request.model_spec.name, version, model)

    def _find(self, spec):
        has_version = spec.HasField("version")
        return self.models.find(spec.name, spec.version.value if has_version else None)

    def _answer(self, context, make):
        try:
            return make()
        except Refused as error:
            context.abort(error.code, str(error))


def _array(name, proto):
    try:
        dtype = DType(proto.dtype)
        count = int(np.prod([d.size for d in proto.tensor_shape.dim], dtype=object))
        # A short message may say that it is a tensor of any size.
        if count < 0 or count * max(1, dtype.size or 1) > MAX_BYTES:
            raise ValueError(f"its shape has {count} elements")
        array = make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise _invalid(f"input {name!r} is no well-formed tensor: {error}") from None
    return array if dtype != dtypes.string else array.astype(object)


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
    PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(:predict|/metadata)?")

    def do_GET(self):
        self._answer(("", "/metadata"), self._get)

    def do_POST(self):
        self._answer((":predict",), self._post)

    def log_message(self, *_):
        pass

    def _answer(self, endings, make):
        try:
            match = self.PATH.fullmatch(self.path)
            if not match or (match[3] or "") not in endings:
                raise Refused(grpc.StatusCode.NOT_FOUND, f"malformed request: {self.path}")
            status, answer = 200, make(match[1], int(match[2]) if match[2] else None, match[3])
        except Refused as error:
            status = 404 if error.code is grpc.StatusCode.NOT_FOUND else 400
            answer = {"error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _get(self, name, version, ending):
        number, model = self.models.find(name, version)
        if ending is None:
            state = {"version": str(number), "state": "AVAILABLE"}
            return {"model_version_status": [state]}
        return json_format.MessageToDict(
            _metadata(name, number, model), preserving_proto_field_name=True
        )

    def _post(self, name, version, _):
        size = int(self.headers.get("Content-Length", 0))
        if size > MAX_BYTES:
            self.close_connection = True
            raise _invalid(f"the body has {size} bytes, more than {MAX_BYTES}")
        body = self.rfile.read(size)
        _, model = self.models.find(name, version)
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _invalid(f"the body is no JSON: {error}") from None
        if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
            raise _invalid("the body must be an object with either 'instances' or 'inputs'")
        signature = request.get("signature_name", "serving_default")
        expected = self.models.signature(model, signature)["inputs"]
        in_rows = "instances" in request
        columns = _columns(request["instances"], expected) if in_rows else request["inputs"]
        if not isinstance(columns, dict) or columns.keys() != expected.keys():
            if len(expected) != 1 or isinstance(columns, dict):
                raise _invalid(f"inputs must be exactly {sorted(expected)}")
            columns = {next(iter(expected)): columns}
        arrays = {key: _from_json(key, columns[key], expected[key][1]) for key in expected}
        found = {
            key: array.astype(str).tolist() if array.dtype.kind == "S" else array.tolist()
            for key, array in _decoded(self.models.predict(model, signature, arrays)).items()
        }
        if not in_rows:
            return {"outputs": found if len(found) > 1 else next(iter(found.values()))}
        rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
        if len(found) == 1:
            rows = [next(iter(row.values())) for row in rows]
        return {"predictions": rows}


def _decoded(outputs):
    """Text as Python strings."""
    return {
        name: np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        for name, array in outputs.items()
    }


def _columns(instances, expected):
    """{input: list} from a list of rows, as the REST protocol has them."""
    if not isinstance(instances, list) or not instances:
        raise _invalid("'instances' must be a list that is not empty")
    rows = [
        row if isinstance(row, dict) and row.keys() != {"b64"} else {next(iter(expected)): row}
        for row in instances
    ]
    if any(row.keys() != expected.keys() for row in rows):
        raise _invalid(f"each of 'instances' must have exactly the inputs {sorted(expected)}")
    return {key: [row[key] for row in rows] for key in expected}


def _from_json(name, value, dtype):
    try:
        if dtype == "string":
            return np.array([_bytes(item) for item in value], dtype=object)
        array = np.array(value)
        if array.dtype.kind not in "if" or (dtype == "int32" and array.dtype.kind == "f"):
            raise ValueError(f"{array.dtype} where {dtype} is expected")
        return array.astype(dtype)
    except (TypeError, ValueError, KeyError, binascii.Error) as error:
        raise _invalid(f"input {name!r} is malformed: {error}") from None


def _bytes(item):
    if isinstance(item, dict):
        return base64.b64decode(item["b64"], validate=True)
    return item.encode()


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
