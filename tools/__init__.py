"""Maintainers' scripts: they measure, benchmark, draw and write documents. Run as ``python -m tools.NAME``."""
