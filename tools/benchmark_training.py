"""How fast networks train: ours and the ResNet-1D baseline, in one run on one core.

    python -m tools.benchmark_training             # on data/ptbxl, writes artifacts/benchmark.json

Both networks take turns on the same recordings, so a busy machine slows both; the file records the
processor and its instruction set. bfloat16 is used where the processor computes in it.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from config import DEFAULT_OUT, SYNTHETIC_NOTICE, data_directory
from files import write_text
from ptbxl.index import DatasetError
from tools.benchmark.training import training_speed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where benchmark.json goes (default: artifacts)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=10, help="that count, after one to warm up (default: %(default)s)"
    )
    parser.add_argument("--records", type=int, default=640, help="recordings a round (default: %(default)s)")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        content = training_speed(data_directory(arguments.data), arguments.rounds, arguments.records)
        write_text(Path(arguments.out) / "benchmark.json", json.dumps(content, indent=1) + "\n")
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
