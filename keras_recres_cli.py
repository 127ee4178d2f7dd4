"""Where the command `keras-recres` begins: outside the package, whose import would import Keras.

That this module is there tells `keras_recres/__init__.py` to leave Keras alone until it is needed.
"""

import sys

# Also under `python -m keras_recres_cli`, where this module is called __main__.
sys.modules.setdefault("keras_recres_cli", sys.modules[__name__])


def main():
    """Runs the command with the arguments of this process; returns its exit code."""
    from keras_recres.cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
