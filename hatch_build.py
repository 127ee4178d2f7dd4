"""Which of the zoo's weights travel in a wheel: the small ones; `zoo.load` downloads the others."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LARGEST_BYTES = 1_000_000


class SmallWeights(BuildHookInterface):
    """Adds to a wheel the weights' files of at most `LARGEST_BYTES`; a checkout has all of them."""

    def initialize(self, version, build_data):
        """Called by hatchling before it writes the wheel."""
        if version == "editable":
            return
        for path in sorted(Path(self.root, "zoo", "weights").glob("*.weights.h5")):
            if path.stat().st_size <= LARGEST_BYTES:
                build_data["force_include"][str(path)] = f"keras_recres/zoo/weights/{path.name}"
