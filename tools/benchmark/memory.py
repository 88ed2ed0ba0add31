"""Peak memory of one process that runs exported networks; `tools.benchmark` starts it for each contender.

python -m tools.benchmark.memory SIGNALS.npy NETWORK.onnx ...     # prints JSON, in MB (Linux)
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

from inference.backends import load_network


def peak_mb() -> float:
    """Highest resident memory of this process so far."""
    # not getrusage, whose maximum may be that of the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6


def main(argv: list[str]) -> int:
    if len(argv) < 2 or "--help" in argv:
        print(__doc__)
        return 0 if "--help" in argv else 2
    signals, *paths = argv
    imported, given = peak_mb(), np.load(signals)
    for network in [load_network(Path(path), "onnx", threads=1) for path in paths]:
        network.probabilities_of(given)
    peak = peak_mb()
    print(json.dumps({"peak_mb": peak, "imported_mb": imported, "networks_mb": peak - imported}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
