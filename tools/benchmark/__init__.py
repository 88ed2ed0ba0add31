"""Ours beside the ResNet-1D in one run: `python -m tools.benchmark`."""
