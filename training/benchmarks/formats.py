"""What `serve.export` can write: the zoo's networks in every format, float and with 8-bit weights.

Each file is for any batch size, is loaded again and compared. JAX and PyTorch have the formats that
Keras exports from them.
"""

import pathlib
import tempfile

from keras_recres import zoo
from keras_recres.serve import formats
from training.files import markdown_table

# What `serve.export` holds its files to, too.
TOLERANCE = 1e-5
KINDS = {"onnx": "ONNX", "litert": "LiteRT", "openvino": "OpenVINO"}


def cases(backend, quick):
    """A process for each network that has weights."""
    names = ["cifar_small"] if quick else [record.name for record in zoo.list(trained=True)]
    return [{"network": name} for name in names]


def measure(network):
    """Sizes of the files, or why there is none: {"weights": bytes, "files": {"onnx int8": …}}."""
    model, files = zoo.load(network), {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "files" / f"model{formats.SUFFIXES[kind]}"
            for precision in ("float32", "int8"):
                files[f"{kind} {precision}"] = _written(model, path, kind, precision == "int8")
    return {"weights": 4 * model.count_params(), "files": files}


def _written(model, path, kind, int8):
    """How many bytes a file has, or the sentence that there is in its place."""
    try:
        formats.check(kind, int8)
        if int8 and kind != "litert" and path.exists():
            # Tracing and converting once more would take minutes.
            formats.with_int8_weights(model, path, kind)
        else:
            formats.write(model, path, kind, None, TOLERANCE, int8)
    except (ImportError, ValueError) as reason:
        return str(reason)
    return sum(file.stat().st_size for file in path.parent.iterdir())


def report(rows):
    """Prints the table."""
    print(markdown(rows))


def markdown(rows):
    """Tables of kilobytes, one a backend, and below them why there is no file."""
    parts = []
    for backend in dict.fromkeys(row["backend"] for row in rows):
        some = [row for row in rows if row["backend"] == backend]
        reasons = []
        heads = [head for kind in KINDS.values() for head in (kind, "int8")]
        lines = []
        for row in some:
            cells = [_cell(found, row["network"], reasons) for found in row["files"].values()]
            lines.append([f"`{row['network']}`", _kilobytes(row["weights"]), *cells])
        parts.append(f"On {backend}, kilobytes:")
        parts.append("\n".join(markdown_table(("network", "weights", *heads), lines)))
        parts += [f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)]
    return "\n\n".join(parts)


def _kilobytes(size):
    return f"{size / 1000:,.0f}"


def _cell(found, network, reasons):
    """A file's size, or the number of the reason why there is none."""
    if not isinstance(found, str):
        return _kilobytes(found)
    reason = found.replace(repr(network), "the network")
    if reason not in reasons:
        reasons.append(reason)
    return f"no ({1 + reasons.index(reason)})"
