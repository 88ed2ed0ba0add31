"""The server's fixtures, for all its test files."""

from tests.support.server import artifacts, client, ecg, own_artifacts

__all__ = ["artifacts", "client", "ecg", "own_artifacts"]
