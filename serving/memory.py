"""Memory of a process that makes the same large arrays at every request."""

import ctypes
import sys

# glibc's names for mallopt, from malloc.h
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT_BYTES = 128 * 2**20
MMAP_BYTES = 32 * 2**20  # the largest glibc takes


def keep_freed_memory() -> bool:
    """Have malloc keep what is freed for the next request; returns whether it will.

    By default glibc hands large arrays back to the kernel and asks for them anew, which costs reading and quality of
    one ECG about a millisecond. Elsewhere than on glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    settings = ((MMAP_THRESHOLD, MMAP_BYTES), (TRIM_THRESHOLD, KEPT_BYTES), (TOP_PAD, KEPT_BYTES // 4))
    accepted = [mallopt(name, value) == 1 for name, value in settings]
    return all(accepted)
