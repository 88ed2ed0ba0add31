import numpy as np
import torch
from torch.nn import functional as F

from training.losses import AsymmetricFocalLoss, balancing_weights

LOGITS = torch.tensor([[-30.0, -1.0, 0.0], [0.5, 2.0, 30.0]], dtype=torch.float64)
TARGETS = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]], dtype=torch.float64)


def test_gamma_zero_is_binary_cross_entropy():
    expected = F.binary_cross_entropy_with_logits(LOGITS, TARGETS)
    torch.testing.assert_close(AsymmetricFocalLoss()(LOGITS, TARGETS), expected)


def test_focusing_follows_the_published_formula():
    p = torch.sigmoid(LOGITS)
    expected = -(TARGETS * (1 - p) ** 1 * F.logsigmoid(LOGITS) + (1 - TARGETS) * p**4 * F.logsigmoid(-LOGITS)).mean()
    torch.testing.assert_close(AsymmetricFocalLoss(1, 4)(LOGITS, TARGETS), expected)


def test_positives_and_negatives_are_focused_separately():
    easy_negative = torch.tensor([[-3.0]]), torch.zeros(1, 1)
    easy_positive = torch.tensor([[3.0]]), torch.ones(1, 1)
    only_negatives = AsymmetricFocalLoss(gamma_negative=2)
    assert only_negatives(*easy_negative) < 0.01 * AsymmetricFocalLoss()(*easy_negative)
    assert only_negatives(*easy_positive) == AsymmetricFocalLoss()(*easy_positive)


def test_gradients_stay_finite_at_extreme_logits():
    logits = torch.tensor([[-1e4, 1e4, 0.0]], requires_grad=True)
    AsymmetricFocalLoss(2, 2, np.ones(3))(logits, torch.tensor([[1.0, 0.0, 1.0]])).backward()
    assert torch.isfinite(logits.grad).all()


def test_full_balance_makes_positives_and_negatives_weigh_the_same():
    targets = np.zeros((100, 2), np.float32)
    targets[:20, 0] = 1
    targets[:50, 1] = 1
    np.testing.assert_allclose(balancing_weights(targets, 1.0), [4, 1])
    np.testing.assert_allclose(balancing_weights(targets, 0.5), [2, 1])
    loss = AsymmetricFocalLoss(positive_weight=balancing_weights(targets, 1.0))
    logits = torch.zeros(100, 2)
    plain = AsymmetricFocalLoss()
    assert loss(logits, torch.tensor(targets)) > plain(logits, torch.tensor(targets))
