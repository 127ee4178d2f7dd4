"""What a `.keras` file says of the network of the zoo in it, read without Keras."""

import dataclasses
import json
import zipfile

from keras_recres.zoo.record import Record


def facts(path):
    """The record and the class names of the network in a file that `model.save` wrote.

    Args:
        path: Path of the `.keras` file.

    Returns:
        A `Record` whose arguments are those of this network, with its own input shape, without
        tags; and a tuple of names, or None.

    Raises:
        ValueError: It is no such file, or has no network of the zoo with a record.
    """
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))["config"]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not a .keras file ({error}).") from None
    zoo = config.get("zoo") or {}
    if not zoo.get("record"):
        raise ValueError(
            f"{str(path)!r} is not a network of the zoo: its record and preprocessing are missing."
        )
    record = Record.from_dict(zoo["record"], str(path))
    inputs = next(layer for layer in config["layers"] if layer["class_name"] == "InputLayer")
    arguments = {
        **record.arguments_of(zoo["tag"]),
        "input_shape": tuple(inputs["config"]["batch_shape"][1:]),
    }
    record = dataclasses.replace(record, arguments=arguments, default_tag=None, tags={})
    return record, zoo["class_names"] and tuple(zoo["class_names"])
