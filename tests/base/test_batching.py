import numpy as np
import pytest
import torch

from dmzrep._base._batching import (
    in_blocks,
    run_padded,
)
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._mlp import ResidualMLP
from dmzrep.networks._unet import UNet

CODE_BITS = 6


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: ConvEncoder((2, 12, 12), CODE_BITS, width=8, init_features="values"), (2, 12, 12)),
        (lambda: ResidualMLP(5, 5, CODE_BITS, width=32, depth=2), (5,)),
        *(
            (
                lambda how=how: UNet(
                    2, 2, CODE_BITS, (16, 24), attention_levels=(1,), conditioning=how, patch_size=1
                ),
                (2, 8, 8),
            )
            for how in ("bias", "cross_attention", "adagn", "timestep")
        ),
    ],
    ids=["encoder", "mlp", "bias", "cross_attention", "adagn", "timestep"],
)
@torch.inference_mode()
def test_networks_are_batch_invariant_with_padded_batches(make, shape):
    network = make().eval()
    for parameter in network.parameters():  # Some layers are initialised to zero.
        torch.nn.init.normal_(parameter, std=0.3)
    tensors = [torch.randn(17, *shape), torch.rand(17) * 999, (torch.rand(17, CODE_BITS) < 0.5).float()]
    tensors = tensors[:1] if isinstance(network, ConvEncoder) else tensors
    reference = run_padded(network, 32, *tensors)
    assert reference.std() > 0
    for n in (1, 2, 5, 8, 16):
        chosen = torch.randperm(17)[:n]
        found = run_padded(network, 32, *(tensor[chosen] for tensor in tensors))
        assert torch.equal(found, reference[chosen]), f"samples {chosen.tolist()}"


@pytest.mark.parametrize("n", [1, 5, 9])
def test_functions_receive_full_batches_and_padding_is_removed(n):
    sizes = []

    def double(a, b=0):
        sizes.append(len(a))
        return a + a + 0 * b

    a = torch.arange(float(n))
    assert torch.equal(run_padded(double, 9, a, a), 2 * a)
    X = np.arange(n)[:, None]
    assert np.array_equal(in_blocks(double, X, size=9), 2 * X)
    assert sizes == [9, 9]
