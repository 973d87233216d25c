import pytest
import torch
from torch import nn

from soaflow.models.storing import StoringOutputs


class TwoHeads(nn.Module):
    def forward(self, first, second):
        return first + second, (first * second).to(torch.float16)


def test_outputs_are_stored_in_the_tensors_that_follow_and_cast():
    total, product = torch.zeros(6, 2)[::2], torch.zeros(3, 2)
    first, second = torch.randn(3, 2) - 2, torch.randn(3, 2)
    assert StoringOutputs(TwoHeads(), 2)(first, second, total, product) is None
    assert torch.equal(total, first + second)
    assert torch.equal(product, (first * second).half().float())


def test_a_single_output_needs_no_tuple():
    stored = torch.zeros(2, 1)
    StoringOutputs(nn.Linear(3, 1), 1)(torch.ones(2, 3), stored)
    assert stored.any()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_outputs_is_an_error(count):
    with pytest.raises(ValueError, match="zip"):
        StoringOutputs(TwoHeads(), 2)(torch.ones(1), torch.ones(1), *[torch.zeros(1)] * count)
