"""Where a checkpoint or a measurement comes from: the commit of the code and the machine."""

import platform
import subprocess

import torch

from config import PROJECT


def git_revision() -> str:
    """The commit this code is at, with "+changes" if files differ from it; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=PROJECT, check=True, capture_output=True, text=True).stdout.strip()


def machine_facts() -> dict:
    """Processor, instruction set, threads and library: what a speed depends on."""
    return {
        "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
