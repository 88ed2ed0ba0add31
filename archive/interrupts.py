"""Loaded by each worker process of this machine: Ctrl-C is for the process that has started them, and it ends them."""

import signal


def dask_setup(worker) -> None:
    """Called by Dask when a worker starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
