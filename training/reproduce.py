"""`python -m training.reproduce EXPERIMENT`, see `training.studies`."""

import sys

from training import errors
from training.studies.__main__ import main

if __name__ == "__main__":
    sys.exit(errors.run(main))
