"""A log that TensorBoard shows, written without it.

Keras' own TensorBoard callback needs TensorFlow and tensorboard, which a machine with JAX or
PyTorch alone does not have. The file is a TFRecord of `Event` messages (tensorflow's
event.proto): length, checksum, message, checksum; of a message only the time, the step and a
scalar are needed.
"""

import os
import struct
import time
from pathlib import Path

import keras


class TensorBoard(keras.callbacks.Callback):
    """Writes what an epoch's log holds, one scalar a name; the step is the epoch.

    Args:
        folder: the folder for it; a training that goes on adds a file, as TensorBoard expects.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)

    def on_train_begin(self, logs=None):
        self.folder.mkdir(exist_ok=True)
        now = time.time()
        path = self.folder / f"events.out.tfevents.{now:.6f}.{os.getpid()}"
        self._file = path.open("wb")
        self._write(event(now, version="brain.Event:2"))

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            self._write(event(time.time(), epoch, name, float(value)))
        self._file.flush()

    def on_train_end(self, logs=None):
        self._file.close()

    def _write(self, message):
        length = struct.pack("<Q", len(message))
        self._file.write(length + checksum(length) + message + checksum(message))


def event(when, step=0, name=None, value=None, version=None):
    """An `Event` message as bytes: a scalar, or the version that a file begins with."""
    message = b"\x09" + struct.pack("<d", when) + b"\x10" + _varint(step)
    if version is not None:
        return message + b"\x1a" + _sized(version.encode())
    scalar = b"\x0a" + _sized(name.encode()) + b"\x15" + struct.pack("<f", value)
    return message + b"\x2a" + _sized(b"\x0a" + _sized(scalar))


def _sized(content):
    return _varint(len(content)) + content


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def checksum(content):
    """The masked CRC-32C of a TFRecord, four bytes."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)
