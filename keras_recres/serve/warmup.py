"""Requests that a server answers before it takes others: `assets.extra` of a SavedModel."""

import importlib.util
import pathlib

FILE = "assets.extra/tf_serving_warmup_requests"
# One alone and one batch: what is allocated for a batch then exists.
BATCHES = (1, 8)
MISSING = (
    "Warm-up requests need tensorflow-serving-api, which is not installed: "
    "pip install 'keras-recres[serve]', or, beside tensorflow-cpu, "
    "pip install --no-deps tensorflow-serving-api; warmup=False exports without them."
)


def available():
    """Whether tensorflow-serving-api is installed."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write(folder, name, inputs):
    """Writes real requests for every signature, in the file that TensorFlow Serving looks for.

    Args:
        folder: Folder of the SavedModel.
        name: Name under which the model is served.
        inputs: For every signature a dict of input arrays with one example or more.
    """
    import tensorflow as tf

    path = pathlib.Path(folder) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arrays in inputs.items():
            for batch in BATCHES:
                log = _log(name, signature, {k: _batch(x, batch) for k, x in arrays.items()})
                writer.write(log.SerializeToString())


def _log(name, signature, arrays):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, array in arrays.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
    log = prediction_log_pb2.PredictLog(request=request)
    return prediction_log_pb2.PredictionLog(predict_log=log)


def _batch(array, size):
    return array[[i % len(array) for i in range(size)]]
