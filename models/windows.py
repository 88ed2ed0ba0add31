"""Windows: a recording is read in overlapping windows of a few seconds, and their probabilities are averaged.

Recordings of more than 15 s are cut into stretches of about 10 s before that, see `ecg.stretches`.
"""

import torch


def cut_windows(signals: torch.Tensor, window: int, stride: int) -> torch.Tensor:
    """Overlapping windows of recordings: ``(batch, 12, samples)`` to ``(batch, windows, 12, window)``.

    They cover every sample: the last one ends with the recording, however far it starts from the one before. A
    recording shorter than a window is one window.
    """
    samples = signals.shape[2]
    window = min(window, samples)
    count = (samples - window + stride - 1) // stride + 1
    starts = (torch.arange(count, device=signals.device) * stride).clamp_max(samples - window)
    places = (starts[:, None] + torch.arange(window, device=signals.device)).flatten()
    return take_spans(signals, places, count, window)


def take_spans(signals: torch.Tensor, places: torch.Tensor, count: int, length: int) -> torch.Tensor:
    """Samples of recordings in spans of equal length: ``(batch, 12, samples)`` to ``(batch, count, 12, length)``.

    places: the spans' samples one after another. All leads of a sample are taken at once, which in ONNX Runtime is five
    times as fast as lead by lead.
    """
    return signals.transpose(1, 2).index_select(1, places).unflatten(1, (count, length)).transpose(2, 3)


def mean_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Mean over windows of the probabilities: ``(batch, windows, outputs)`` to ``(batch, outputs)``, float32."""
    # as a product of matrices, which ONNX Runtime adds up alike in every batch; its own sums differ in the last bit
    weights = torch.full((1, 1, logits.shape[1]), 1 / logits.shape[1], device=logits.device)
    return (weights @ logits.float().sigmoid())[:, 0]
