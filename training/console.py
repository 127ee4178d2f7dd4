"""A progress bar where there is a terminal, nothing where there is none."""

from keras_recres.cli.terminal import progress_bar

__all__ = ["progress_bar"]
