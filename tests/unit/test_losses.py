import torch
from torch.nn import functional as F

from training.losses import LOSSES, AsymmetricFocalLoss

LOGITS = torch.tensor([[-30.0, -1.0, 0.0], [0.5, 2.0, 30.0]], dtype=torch.float64)
TARGETS = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]], dtype=torch.float64)


def test_gamma_zero_is_binary_cross_entropy():
    torch.testing.assert_close(
        AsymmetricFocalLoss(0, 0)(LOGITS, TARGETS), F.binary_cross_entropy_with_logits(LOGITS, TARGETS)
    )


def test_focusing_follows_the_published_formula():
    p = torch.sigmoid(LOGITS)
    expected = -(TARGETS * (1 - p) ** 1 * F.logsigmoid(LOGITS) + (1 - TARGETS) * p**4 * F.logsigmoid(-LOGITS)).mean()
    torch.testing.assert_close(LOSSES["asymmetric"]()(LOGITS, TARGETS), expected)


def test_gradients_stay_finite_at_extreme_logits():
    logits = torch.tensor([[-1e4, 1e4, 0.0]], requires_grad=True)
    AsymmetricFocalLoss(2, 2)(logits, torch.tensor([[1.0, 0.0, 1.0]])).backward()
    assert torch.isfinite(logits.grad).all()
