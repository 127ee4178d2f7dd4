"""What a `.keras` file or a saved folder says of its network of the zoo, read without Keras."""

import dataclasses
import json
import zipfile
from pathlib import Path

from keras_recres.zoo.record import Record

# Of a folder that `zoo.save` wrote.
CONFIG = "config.json"


def config_of(folder):
    """Keras' config in a folder that `zoo.save` wrote, with what the zoo knows of the network."""
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = config["model"]
        return {**model, "config": {**model["config"], "zoo": {**config["zoo"]}}}
    except FileNotFoundError:
        raise FileNotFoundError(f"{str(folder)!r} is not a folder that zoo.save wrote.") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the config of a saved model ({error!r}).") from None


def facts(path):
    """The record and the class names of the network in a file that `model.save` wrote.

    Args:
        path: Path of the `.keras` file or of the folder.

    Returns:
        A `Record` whose arguments are those of this network, with its own input shape, without
        tags; and a tuple of names, or None.

    Raises:
        ValueError: It is another file, or has no network of the zoo with a record.
    """
    if str(path).endswith(".keras"):
        try:
            with zipfile.ZipFile(path) as file:
                config = json.loads(file.read("config.json"))["config"]
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{str(path)!r} is not a .keras file ({error}).") from None
    else:
        config = config_of(path)["config"]
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
