from torch import nn

from vssbench.complexity.params import count_parameters


def test_weights_and_biases_count_and_running_statistics_do_not():
    # 3x3, 2 -> 4 channels with bias: 72 + 4; batch norm: 4 + 4
    assert count_parameters([nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)]) == 76 + 8


def test_a_module_named_twice_counts_once():
    shared = nn.Linear(3, 5)
    assert count_parameters([nn.Sequential(shared, shared), shared]) == 20


def test_a_parameter_shared_between_modules_counts_once():
    one, two = nn.Linear(3, 5), nn.Linear(3, 5)
    two.weight = one.weight
    assert count_parameters([one, two]) == 15 + 5 + 5


def test_frozen_parameters_count():
    assert count_parameters([nn.Linear(3, 5).requires_grad_(False)]) == 20


def test_no_modules_have_no_parameters():
    assert count_parameters([]) == 0
