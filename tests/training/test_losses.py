"""What is minimised, against values computed by hand."""

import numpy as np
import pytest
import torch

from pipeline.training.losses import covid_and_classes, cross_entropy, cross_entropy_and_dice


def test_mask_loss_of_a_perfect_and_of_an_undecided_mask():
    target = torch.tensor([1.0, 0.0, 1.0, 1.0]).reshape(1, 2, 2, 1)
    assert float(cross_entropy_and_dice(target, target)) == pytest.approx(0, abs=1e-5)
    half = float(cross_entropy_and_dice(torch.full_like(target, 0.5), target))
    assert half == pytest.approx(np.log(2) + 1 - (2 * 1.5 + 1) / (2 + 3 + 1))


def test_dice_is_of_each_image_by_itself():
    """A small lung that is missed weighs as much as a large one."""
    target = torch.zeros(2, 4, 4, 1)
    target[0, 0, 0], target[1] = 1, 1
    found = target.clone()
    found[0] = 0
    entropy = 100 / 32  # PyTorch's bound of a logarithm
    dice = ((1 - 1 / 2) + 0) / 2
    assert float(cross_entropy_and_dice(found, target)) == pytest.approx(entropy + dice)


def test_cross_entropy_against_soft_targets():
    scores, target = torch.tensor([[0.8, 0.2], [0.5, 0.5]]), torch.tensor([[0.9, 0.1], [0.0, 1.0]])
    first = -(0.9 * np.log(0.8) + 0.1 * np.log(0.2))
    assert float(cross_entropy(scores, target)) == pytest.approx((first + np.log(2)) / 2)


def test_one_column_is_a_sigmoid_unit():
    scores, target = torch.tensor([[0.8], [0.3]]), torch.tensor([[1.0], [0.0]])
    expected = -(np.log(0.8) + np.log(0.7)) / 2
    assert float(cross_entropy(scores, target)) == pytest.approx(expected)


def test_a_row_of_zeros_counts_for_nothing():
    scores = torch.tensor([[0.8, 0.2], [0.1, 0.9]])
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert float(cross_entropy(scores, target)) == pytest.approx(-np.log(0.8) / 2)


def test_a_certain_error_stays_finite():
    assert 10 < float(cross_entropy(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]))) < 20


def test_covid_and_classes_are_two_entropies():
    scores = torch.tensor([[0.7, 0.3, 0.4, 0.3, 0.2, 0.1]])
    target = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    expected = -np.log(0.7) - np.log(0.3)
    assert float(covid_and_classes(scores, target)) == pytest.approx(expected)
