"""`python -m training.device`, see `training.travel.device`."""

import sys

from training import errors
from training.travel.device import main

if __name__ == "__main__":
    sys.exit(errors.run(main))
