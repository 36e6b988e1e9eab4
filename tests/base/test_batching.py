import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep._base._batching import (
    DENOISER_BATCH,
    ENCODER_BATCH,
    batch_size_for,
    batches,
    in_blocks,
    run_padded,
)
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._mlp import ResidualMLP
from dmzrep.networks._unet import UNet

quick = settings(deadline=None, max_examples=40)
CODE_BITS = 6


@quick
@given(n=st.integers(0, 500), size=st.integers(1, 300))
def test_batches_cover_all_samples_once_and_in_order(n, size):
    parts = list(batches(n, size))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n))
    assert all(part.stop - part.start == size for part in parts[:-1])


@quick
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 4), st.integers(8, 256), st.integers(8, 256)),
        st.tuples(st.integers(1, 5000)),
    ),
    most=st.sampled_from([ENCODER_BATCH, DENOISER_BATCH]),
)
def test_the_batch_size_is_a_power_of_two_that_falls_with_the_size_of_samples(shape, most):
    size = batch_size_for(shape, most)
    pixels = math.prod(shape[1:]) if len(shape) == 3 else shape[0]
    assert 8 <= size <= most and size & (size - 1) == 0
    assert size == 8 or size * pixels <= most * 32 * 32
    assert size == most or 2 * size * pixels > most * 32 * 32


def unet(conditioning):
    return UNet(2, 2, CODE_BITS, (16, 24), attention_levels=(1,), conditioning=conditioning, patch_size=1)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: ConvEncoder((2, 12, 12), CODE_BITS, width=8, init_features="values"), (2, 12, 12)),
        (lambda: ResidualMLP(5, 5, CODE_BITS, width=32, depth=2), (5,)),
        (lambda: unet("bias"), (2, 8, 8)),
        (lambda: unet("cross_attention"), (2, 8, 8)),
        (lambda: unet("adagn"), (2, 8, 8)),
        (lambda: unet("timestep"), (2, 8, 8)),
    ],
    ids=["encoder", "mlp", "bias", "cross_attention", "adagn", "timestep"],
)
@torch.inference_mode()
def test_networks_are_batch_invariant_to_the_last_bit(make, shape):
    network = make().eval()
    for parameter in network.parameters():  # Some layers are initialised to zero.
        torch.nn.init.normal_(parameter, std=0.3)
    tensors = [torch.randn(17, *shape), torch.rand(17) * 999, (torch.rand(17, CODE_BITS) < 0.5).float()]
    tensors = tensors[:1] if isinstance(network, ConvEncoder) else tensors
    reference = run_padded(network, 32, *tensors)
    assert reference.std() > 0
    for n in range(1, 18):
        chosen = torch.randperm(17)[:n]
        found = run_padded(network, 32, *(tensor[chosen] for tensor in tensors))
        assert torch.equal(found, reference[chosen]), f"samples {chosen.tolist()}"


@pytest.mark.parametrize(("n", "size"), [(1, 9), (5, 9), (9, 9)])
def test_the_function_gets_a_full_batch_and_the_padding_is_dropped(n, size):
    seen = []

    def double(a, b):
        seen.append((len(a), len(b)))
        return a + b

    a = torch.arange(float(n))
    assert torch.equal(run_padded(double, size, a, a), 2 * a)
    assert seen == [(size, size)]


@pytest.mark.parametrize("n", [1, 4, 5])
def test_blocks_of_arrays_are_full_too(n):
    X, sizes = np.arange(n)[:, None], []
    assert np.array_equal(in_blocks(lambda block: sizes.append(len(block)) or 2 * block, X, size=4), 2 * X)
    assert set(sizes) == {4}
