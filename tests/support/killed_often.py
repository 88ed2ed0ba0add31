"""Two processes of which the second is killed in every attempt but the last.

torchrun --nproc_per_node 2 --max-restarts N tests/support/killed_often.py FOLDER

Started anew, the first comes last, so that the second looks for it where the killed attempt left its address.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.distributed import join, leave

if __name__ == "__main__":
    attempt, last = (int(os.environ[f"TORCHELASTIC_{name}"]) for name in ("RESTART_COUNT", "MAX_RESTARTS"))
    if attempt and os.environ["RANK"] == "0":
        time.sleep(1)
    here = join(torch.device("cpu"))
    total = here.mean(torch.tensor(float(here.rank))) * here.count
    if attempt < last and here.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    here.wait()
    (Path(sys.argv[1]) / f"rank_{here.rank}").write_text(f"attempt {attempt}, sum of ranks {total:.0f}")
    leave(here)
