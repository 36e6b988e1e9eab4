"""The interface of encoders: `transform` to codes, and `inverse_transform` to samples."""

import inspect
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_numbers, did_you_mean, short_repr
from dmzrep.codes._checks import check_codes


@runtime_checkable
class Encoder(Protocol):
    """Anything that encodes samples and decodes codes, such as a fitted `DMZEncoder` or a Pipeline with one.

    An encoder whose attribute `output` is ``"logits"`` returns logits, all others probabilities or bits. One
    whose `inverse_transform` has no `random_state` is deterministic.
    """

    def transform(self, X: Any, /) -> np.ndarray:
        """Return the codes of samples, shape (n, latent_dim)."""

    def inverse_transform(self, Z: Any, /) -> np.ndarray:
        """Return samples decoded from codes."""


def encoder_output(encoder: Any) -> str:
    """Return "logits" for encoders of logits, else "probabilities", which bits are too."""
    return "logits" if getattr(last_step(encoder), "output", None) == "logits" else "probabilities"


def code_probabilities(encoder: Encoder, X: Any) -> np.ndarray:
    """Encode samples to probabilities of a one, float64, for any `output` of the encoder."""
    check_codec(encoder, needed=("transform",))
    codes = as_numbers(encoder.transform(X), "encoder.transform(X)")
    if codes.ndim == 2 and len(codes) == 0:
        return codes.astype(np.float64)
    if encoder_output(encoder) == "logits":
        return expit(check_codes(codes, "encoder.transform(X)", "numbers").astype(np.float64))
    return check_codes(codes, "encoder.transform(X)").astype(np.float64)


def decode_codes(encoder: Encoder, codes: np.ndarray, *, random_state: Any, **options: Any) -> np.ndarray:
    """Decode bits or probabilities with the options that are not None.

    A sequence as `random_state` holds an integer for each code; codes with the same integer share their
    noise. In a pipeline options are for the last step.
    """
    check_codec(encoder, needed=("inverse_transform",))
    encoder = unwrapped(encoder)
    passed = {name: value for name, value in options.items() if value is not None}
    if isinstance(encoder, Pipeline):
        *earlier, last = [step for _, step in encoder.steps if step not in (None, "passthrough")]
        if "like" in passed:
            for step in earlier:
                passed["like"] = step.transform(passed["like"])
        samples = decode_codes(last, codes, random_state=random_state, **passed)
        for step in reversed(earlier):
            samples = np.asarray(step.inverse_transform(samples))
        return samples
    decode: Any = encoder.inverse_transform
    parameters = inspect.signature(decode).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return np.asarray(decode(codes, random_state=random_state, **passed))
    for name in passed:
        if name not in parameters:
            hint = did_you_mean(name, list(parameters), " Omit it, or use a DMZEncoder.")
            raise ValueError(
                f"{type(encoder).__name__}.inverse_transform does not take {name!r} "
                f"(it takes {list(parameters)}).{hint}"
            )
    if "random_state" in parameters:
        passed["random_state"] = random_state
    return np.asarray(decode(codes, **passed))


def check_codec(
    encoder: Any, parameter: str = "encoder", needed: Sequence[str] = ("transform", "inverse_transform")
) -> None:
    """Raise unless an object has the methods of an `Encoder` that are needed."""
    missing = [name for name in needed if not callable(getattr(encoder, name, None))]
    # The `transform` of tables is something else.
    if missing or isinstance(encoder, (type, pd.DataFrame, pd.Series)):
        what = " and no ".join(missing) if missing else "instance: it is a class or a table"
        raise TypeError(
            f"{parameter} must be a fitted DMZEncoder, or an object with {' and '.join(needed)}; "
            f"{short_repr(encoder)} has no {what}."
        )


def unwrapped(encoder: Any) -> Any:
    """Return the estimator in a FrozenEstimator, or the encoder itself."""
    return encoder.estimator if isinstance(encoder, FrozenEstimator) else encoder


def last_step(encoder: Any) -> Any:
    """Return the last step of a pipeline, or the encoder itself, without a FrozenEstimator."""
    encoder = unwrapped(encoder)
    return last_step(encoder.steps[-1][1]) if isinstance(encoder, Pipeline) else encoder


def block_seeds(random_state: Any, n_samples: int, n_blocks: int = 1) -> list[int]:
    """Return the seeds of `n_blocks` blocks of the same samples; a sample has the same noise in each."""
    seeds = np.random.SeedSequence(draw_seed(random_state)).generate_state(n_samples) >> 1
    return np.tile(seeds, n_blocks).tolist()
