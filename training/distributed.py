"""Training on several devices: what the processes that torchrun starts share.

    torchrun --nproc_per_node 2 train_multilabel.py

Each process holds the whole network and takes its share of every batch; PyTorch's DistributedDataParallel averages the
gradients (gloo on processors, NCCL on GPUs). --batch-size is of all processes together, and the random numbers of a
step do not depend on how many there are, so a run may be resumed with another number. On GPUs batch normalisation sees
the whole batch; on processors, where PyTorch has no such layer, each process has the statistics of its share, and those
of the first are validated and saved. The first process alone writes and prints.
"""

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those of a run.

    rank: from 0. count: 1 without torchrun. restarted: by torchrun, after a process was lost.
    """

    rank: int = 0
    count: int = 1
    restarted: bool = False

    @property
    def writes(self) -> bool:
        """Whether this one saves and prints."""
        return self.rank == 0

    def share(self, items):
        """This process's part of a batch: an array or tensor whose length is a multiple of the number of processes."""
        return items[self.rank :: self.count]

    def whole(self, batch: np.ndarray) -> np.ndarray:
        """A batch cut to what can be shared out evenly."""
        return batch[: len(batch) // self.count * self.count]

    def around(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over all processes."""
        if self.count == 1:
            return module
        device = next(module.parameters()).device
        return DistributedDataParallel(module, device_ids=[device] if device.type == "cuda" else None)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean of a tensor over all processes."""
        if self.count == 1:
            return value
        total = value.clone()
        distributed.all_reduce(total)
        return total / self.count

    def gather(self, rows: torch.Tensor, n: int) -> torch.Tensor:
        """All ``n`` rows of a table of which each process has its `share`."""
        if self.count == 1:
            return rows
        table = rows.new_zeros(n, *rows.shape[1:])
        table[self.rank :: self.count] = rows
        distributed.all_reduce(table)
        return table

    def take_buffers_of_first(self, module: nn.Module) -> None:
        """Give every process the first one's statistics of batch normalisation."""
        if self.count > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()


ALONE = Processes()


def join(device: torch.device) -> Processes:
    """Join the processes that torchrun started, or be alone. Raises ConnectionError if they cannot find each other."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        raise ConnectionError(
            "--max-restarts works on one machine only, for several count their restarts apart: leave it away, and "
            "start again with --resume if a process is lost"
        )
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        store, rank, count = next(distributed.rendezvous("env://"))
        # torchrun keeps one store for all attempts, with the addresses of processes that are gone
        # (github.com/pytorch/pytorch/issues/135712), so each attempt has a part of its own.
        store = distributed.PrefixStore(f"attempt_{restarts}", store)
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    except (RuntimeError, ValueError) as error:
        raise ConnectionError(f"the processes of this run did not find one another: {error}") from error
    return Processes(rank=rank, count=count, restarted=restarts > 0)


def leave(processes: Processes) -> None:
    """End the connections of `join`."""
    if processes.count > 1 and distributed.is_initialized():
        distributed.destroy_process_group()


def ready_for_gpus(network: nn.Module, device: torch.device, processes: Processes) -> nn.Module:
    """Batch normalisation over the whole batch where PyTorch can do it; the names of weights stay."""
    if processes.count > 1 and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network
