import sys

from training import errors
from training.fit.loop import main

if __name__ == "__main__":
    sys.exit(errors.run(main))
