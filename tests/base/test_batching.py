import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep._base._batching import DENOISER_ROWS, ENCODER_ROWS, batch_rows, batches, run_padded
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._mlp import ResidualMLP
from dmzrep.networks._unet import UNet

quick = settings(deadline=None, max_examples=40)


@quick
@given(n_rows=st.integers(0, 500), size=st.integers(1, 300))
def test_batches_cover_all_rows_once_and_in_order(n_rows, size):
    parts = list(batches(n_rows, size))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n_rows))
    assert all(0 < part.stop - part.start <= size for part in parts)
    assert all(part.stop - part.start == size for part in parts[:-1])


@quick
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 4), st.integers(8, 256), st.integers(8, 256)),
        st.tuples(st.integers(1, 5000)),
    ),
    most=st.sampled_from([ENCODER_ROWS, DENOISER_ROWS]),
)
def test_a_batch_has_a_power_of_two_of_rows_that_falls_as_rows_grow(shape, most):
    rows = batch_rows(shape, most)
    pixels = math.prod(shape[1:]) if len(shape) == 3 else shape[0]
    assert 8 <= rows <= most and rows & (rows - 1) == 0
    assert rows == 8 or rows * pixels <= most * 32 * 32
    assert rows == most or 2 * rows * pixels > most * 32 * 32


CODE_BITS = 6


def randomise(module):
    """Draw every weight anew, so that no branch starts as nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return module


def make_unet(conditioning):
    return UNet(2, 2, CODE_BITS, (16, 24), attention_levels=(1,), conditioning=conditioning, patch_size=1)


def inputs(n, shape):
    return torch.randn(n, *shape), torch.rand(n) * 999, (torch.rand(n, CODE_BITS) < 0.5).float()


def assert_rows_do_not_depend_on_their_company(function, tensors, size, reference):
    n_rows = len(tensors[0])
    for n in range(1, n_rows + 1):
        chosen = torch.randperm(n_rows)[:n]
        given_rows = run_padded(function, size, *(tensor[chosen] for tensor in tensors))
        assert given_rows.shape[0] == n
        assert torch.equal(given_rows, reference[chosen]), f"rows {chosen.tolist()} among {n}"


@pytest.mark.parametrize("size", [17, 32])
@torch.inference_mode()
def test_an_encoders_rows_are_the_same_to_the_last_bit_in_any_company(size):
    encoder = randomise(ConvEncoder((2, 12, 12), CODE_BITS, width=8, init_features="values")).eval()
    x, _, _ = inputs(17, (2, 12, 12))
    assert_rows_do_not_depend_on_their_company(encoder, [x], size, run_padded(encoder, size, x))


@pytest.mark.parametrize("conditioning", ["bias", "cross_attention", "adagn", "timestep"])
@torch.inference_mode()
def test_a_unets_rows_are_the_same_to_the_last_bit_in_any_company(conditioning):
    unet = randomise(make_unet(conditioning)).eval()
    tensors = inputs(17, (2, 8, 8))
    reference = run_padded(unet, 32, *tensors)
    assert reference.std() > 0
    assert_rows_do_not_depend_on_their_company(unet, tensors, 32, reference)


@torch.inference_mode()
def test_a_vector_networks_rows_are_the_same_to_the_last_bit_in_any_company():
    network = randomise(ResidualMLP(5, 5, CODE_BITS, width=32, depth=2)).eval()
    tensors = inputs(17, (5,))
    assert_rows_do_not_depend_on_their_company(network, tensors, 32, run_padded(network, 32, *tensors))


@quick
@given(n=st.integers(1, 9), size=st.integers(1, 9))
def test_the_function_sees_a_full_batch_and_the_padding_is_cut_off(n, size):
    seen = []

    def double(a, b):
        seen.append((len(a), len(b)))
        return a + b

    a = torch.arange(float(n))
    if n <= size:
        assert torch.equal(run_padded(double, size, a, a), 2 * a)
        assert seen == [(size, size)]
