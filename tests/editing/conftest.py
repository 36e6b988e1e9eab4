"""An encoder whose bits are its pixels, so that the effect of an edit is known."""

import numpy as np
import pandas as pd
import pytest


class PixelCodec:
    """Encodes six pixels of 0 or 10 as six bits; decoding adds noise if `noisy`."""

    def __init__(self, output="bits", noisy=False):
        self.output, self.noisy = output, noisy

    def transform(self, X):
        bits = np.asarray(X, dtype=float) > 5.0
        if self.output == "logits":
            return np.where(bits, 3.0, -3.0)
        return np.where(bits, 0.9, 0.1) if self.output == "probabilities" else bits.astype(np.uint8)

    def inverse_transform(self, Z, *, random_state=0):
        pixels = 10.0 * np.asarray(Z, dtype=float)
        if self.noisy:
            pixels += np.stack([np.random.default_rng(seed).normal(size=6) for seed in random_state])
        return pixels


@pytest.fixture(scope="session")
def pixels():
    return 10.0 * np.random.default_rng(0).integers(0, 2, (200, 6))


@pytest.fixture(scope="session")
def labels(pixels):
    bits = pixels > 5.0
    return pd.DataFrame({"first": bits[:, 0], "either": bits[:, 1] | bits[:, 2], "last": bits[:, 5]})


@pytest.fixture
def codec():
    return PixelCodec


@pytest.fixture(scope="session")
def pixel_codec():
    return PixelCodec()
