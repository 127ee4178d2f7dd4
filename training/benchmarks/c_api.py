"""A client of SavedModels that is TensorFlow's C library alone: no Keras, no TensorFlow in Python.

    python training/benchmarks/c_api.py FOLDER REQUESTS.npz ANSWERS.npz

runs what the file of requests holds, "N/SIGNATURE/INPUT" → array, and writes "N/OUTPUT" → array, or
"N/error" where TensorFlow refused. NumPy and ctypes are all it imports.
"""

import contextlib
import ctypes
import importlib.util
import os
import pathlib
import sys

import numpy as np

# TF_DataType
DTYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "string": 7,
    "int64": 9,
    "bool": 10,
}
NAMES = {number: name for name, number in DTYPES.items()}
# sizeof(TF_TString)
STRING_BYTES = 24


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


# The functions that are used: name, arguments -> result, in the letters of TYPES.
FUNCTIONS = """
TF_NewStatus -> p
TF_DeleteStatus p
TF_GetCode p -> i
TF_Message p -> t
TF_NewGraph -> p
TF_DeleteGraph p
TF_NewBuffer -> b
TF_DeleteBuffer b
TF_NewSessionOptions -> p
TF_DeleteSessionOptions p
TF_SetConfig p t n p
TF_LoadSessionFromSavedModel p p t p i p b p -> p
TF_CloseSession p p
TF_DeleteSession p p
TF_GraphOperationByName p t -> p
TF_AllocateTensor i p i n -> p
TF_DeleteTensor p
TF_TensorData p -> p
TF_TensorByteSize p -> n
TF_TensorType p -> i
TF_NumDims p -> i
TF_Dim p i -> l
TF_SessionRun p p p p i p p i p i p p
TF_StringInit p
TF_StringCopy p t n
TF_StringGetDataPointer p -> p
TF_StringGetSize p -> n
TF_StringDealloc p
"""
TYPES = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int,
    "l": ctypes.c_int64,
    "n": ctypes.c_size_t,
    "t": ctypes.c_char_p,
    "b": ctypes.POINTER(Buffer),
}


def library():
    """The C library of the installed wheel, with the functions that are used declared."""
    # Found, not imported: `import tensorflow` is what this client must do without.
    folder = pathlib.Path(importlib.util.find_spec("tensorflow").origin).parent
    # Not with RTLD_GLOBAL: the BoringSSL inside would take the place of what Python's hashlib uses.
    lib = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
    for line in FUNCTIONS.strip().splitlines():
        (name, *arguments), _, result = [part.split() for part in line.partition("->")]
        function = getattr(lib, name)
        function.argtypes = [TYPES[letter] for letter in arguments]
        function.restype = TYPES[result[0]] if result else None
    return lib


class SavedModel:
    """A loaded SavedModel; `run(signature, inputs)` takes and gives arrays by name.

    Args:
        folder: The SavedModel.
        threads: Threads within and between operations, from 1 to 127; None for all cores.

    Attributes:
        signatures: {signature: {"inputs": {name: (tensor, dtype, shape)}, "outputs": the same}}.
    """

    def __init__(self, folder, threads=None):
        self.lib = lib = library()
        self.graph = lib.TF_NewGraph()
        options = lib.TF_NewSessionOptions()
        if threads:
            # ConfigProto's intra_op_parallelism_threads = 2 and inter_op_parallelism_threads = 5.
            config = bytes([2 << 3, threads, 5 << 3, threads])
            with self._status() as status:
                lib.TF_SetConfig(options, config, len(config), status)
        meta = lib.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        with self._status() as status:
            self.session = lib.TF_LoadSessionFromSavedModel(
                options, None, os.fsencode(folder), tags, 1, self.graph, meta, status
            )
        self.signatures = signatures(ctypes.string_at(meta.contents.data, meta.contents.length))
        lib.TF_DeleteBuffer(meta)
        lib.TF_DeleteSessionOptions(options)

    def run(self, signature, inputs):
        """Answers of one signature, {name: array}; a RuntimeError with TensorFlow's sentence."""
        table = self.signatures[signature]
        feeds = [self._output(table["inputs"][name][0]) for name in inputs]
        fetches = {name: self._output(entry[0]) for name, entry in table["outputs"].items()}
        values = [self._tensor(np.asarray(array)) for array in inputs.values()]
        found = (ctypes.c_void_p * len(fetches))()
        try:
            with self._status() as status:
                self.lib.TF_SessionRun(
                    self.session,
                    None,
                    (Output * len(feeds))(*feeds),
                    (ctypes.c_void_p * len(values))(*values),
                    len(feeds),
                    (Output * len(fetches))(*fetches.values()),
                    found,
                    len(fetches),
                    None,
                    0,
                    None,
                    status,
                )
            return {name: self._array(t) for name, t in zip(fetches, found, strict=True)}
        finally:
            for tensor in values:
                self._free_texts(tensor)
            for tensor in (*values, *filter(None, found)):
                self.lib.TF_DeleteTensor(tensor)

    def close(self):
        for function in (self.lib.TF_CloseSession, self.lib.TF_DeleteSession):
            with self._status() as status:
                function(self.session, status)
        self.lib.TF_DeleteGraph(self.graph)

    @contextlib.contextmanager
    def _status(self):
        status = self.lib.TF_NewStatus()
        try:
            yield status
            if self.lib.TF_GetCode(status):
                raise RuntimeError(self.lib.TF_Message(status).decode(errors="replace"))
        finally:
            self.lib.TF_DeleteStatus(status)

    def _output(self, tensor):
        name, _, index = tensor.partition(":")
        operation = self.lib.TF_GraphOperationByName(self.graph, name.encode())
        if not operation:
            raise RuntimeError(f"the graph has no operation {name!r}")
        return Output(operation, int(index))

    def _tensor(self, array):
        is_text = array.dtype.kind in "SO"
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        size = array.size * STRING_BYTES if is_text else array.nbytes
        dtype = DTYPES["string" if is_text else array.dtype.name]
        tensor = self.lib.TF_AllocateTensor(dtype, dims, array.ndim, size)
        data = self.lib.TF_TensorData(tensor)
        if is_text:
            for i, item in enumerate(array.ravel().tolist()):
                self.lib.TF_StringInit(data + i * STRING_BYTES)
                self.lib.TF_StringCopy(data + i * STRING_BYTES, item, len(item))
        elif size:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
        return tensor

    def _array(self, tensor):
        shape = [self.lib.TF_Dim(tensor, i) for i in range(self.lib.TF_NumDims(tensor))]
        dtype = NAMES[self.lib.TF_TensorType(tensor)]
        data = self.lib.TF_TensorData(tensor)
        if dtype == "string":
            texts = [self._text(data + i * STRING_BYTES) for i in range(int(np.prod(shape)))]
            return np.array(texts, dtype="S" if texts else "S1").reshape(shape)
        raw = ctypes.string_at(data, self.lib.TF_TensorByteSize(tensor))
        return np.frombuffer(raw, dtype).reshape(shape)

    def _text(self, string):
        size = self.lib.TF_StringGetSize(string)
        return ctypes.string_at(self.lib.TF_StringGetDataPointer(string), size)

    def _free_texts(self, tensor):
        # Those of answers belong to TensorFlow, which frees them with the tensor.
        if NAMES[self.lib.TF_TensorType(tensor)] == "string":
            data = self.lib.TF_TensorData(tensor)
            for i in range(self.lib.TF_TensorByteSize(tensor) // STRING_BYTES):
                self.lib.TF_StringDealloc(data + i * STRING_BYTES)


def signatures(meta_graph):
    """The signatures in a serialised MetaGraphDef, read with the protocol's rules alone."""
    found = {}
    # MetaGraphDef.signature_def = 5, a map; SignatureDef.inputs = 1, .outputs = 2, maps;
    # TensorInfo.name = 1, .dtype = 2, .tensor_shape = 3; TensorShapeProto.dim = 2; Dim.size = 1.
    for entry in _fields(meta_graph, 5):
        (key,), (definition,) = _fields(entry, 1), _fields(entry, 2)
        if key == b"__saved_model_init_op":
            # The loader's own.
            continue
        found[key.decode()] = {
            kind: dict(_tensor_info(item) for item in _fields(definition, number))
            for kind, number in (("inputs", 1), ("outputs", 2))
        }
    return found


def _tensor_info(entry):
    (key,), (info,) = _fields(entry, 1), _fields(entry, 2)
    (name,), (dtype,) = _fields(info, 1), _fields(info, 2)
    dims = [d for shape in _fields(info, 3) for d in _fields(shape, 2)]
    sizes = [_fields(d, 1) or [0] for d in dims]
    shape = tuple(None if s >> 63 else s for (s,) in sizes)
    return key.decode(), (name.decode(), NAMES[dtype], shape)


def _fields(message, wanted):
    """Values of one field of a serialised message: bytes, or an integer."""
    found, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            value = varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            value = message[at : at + size]
            at += size
        if number == wanted:
            found.append(value)
    return found


def main(folder, requests, answers):
    model, found = SavedModel(folder), {}
    tables = {}
    with np.load(requests, allow_pickle=False) as file:
        for key, array in file.items():
            number, signature, name = key.split("/")
            tables.setdefault((number, signature), {})[name] = array
    for (number, signature), inputs in tables.items():
        try:
            outputs = model.run(signature, inputs)
        except RuntimeError as error:
            found[f"{number}/error"] = np.array(str(error))
            continue
        found.update((f"{number}/{name}", array) for name, array in outputs.items())
    model.close()
    heavy = {"tensorflow", "keras", "jax", "torch"} & {*sys.modules}
    if heavy:
        sys.exit(f"this client must not import {sorted(heavy)}")
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
