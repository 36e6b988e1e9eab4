"""Encoders of images as sources of codes: the one place that decides what their outputs are.

An encoder is a `DMZEncoder`, a fitted transformer of scikit-learn, a Pipeline, or any object with
`transform`. Its outputs are of the first kind that applies to those for the samples of `fit`:

1. "logits", "probabilities", "bits" or "packed" bits: the encoder, or the last step of a pipeline, has an
   attribute `output` of this value, as `DMZEncoder` and `ITQTransformer` have.
2. "bits": all are zeros and ones, of any dtype.
3. "packed" bits: they are uint8.
4. "vectors": any other numbers.

Vectors are compared by cosine or Euclidean distance, all others by Hamming distance. With a float metric that
is passed explicitly, rules 2 and 3 do not apply.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from dmzrep._base._validation import as_numbers, is_int, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.codes._protocol import check_codec, last_step, unwrapped
from dmzrep.data import is_paths
from dmzrep.datasets import ImageReader
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._state import fitted_state, restore_fitted
from dmzrep.files._state import require, restoring, take

#: Kinds of outputs, and the kinds of codes that `check_codes` checks them as.
KINDS = {"logits": "numbers", "vectors": "numbers"}
KINDS |= {kind: kind for kind in ("probabilities", "bits", "packed")}
BINARY_METRICS = ("hamming", "asymmetric")
#: Limit of logits computed from probabilities, which float32 rounds to 0 or 1 beyond it.
_LIMIT = 16.0
#: Pictures that are read at a time; samples of noise by which encoders are compared, and their most values.
_BATCH, _TRIAL, _TRIAL_VALUES = 256, 8, 1 << 26
#: Largest mean difference between codes of one encoder for the same samples, relative to their mean size.
_TOLERANCE = 0.02


class Embedder:
    """An encoder, and the kind of its outputs.

    `reader` turns paths into arrays, and `name` is the parameter that errors name. The kind is learned from
    the first outputs, unless the metric implies it.
    """

    def __init__(
        self,
        encoder: Any,
        reader: ImageReader | None = None,
        name: str = "encoder",
        metric: str | None = None,
    ):
        check_codec(encoder, name, needed=("transform",))
        if not isinstance(reader, (ImageReader, type(None))):
            raise TypeError(f"image_reader must be an ImageReader, or None, got {short_repr(reader)}.")
        self.encoder, self.reader, self.name = encoder, reader, name
        self._kind = None if metric is None or metric in BINARY_METRICS else "vectors"
        self._width: int | None = None
        #: Shape and dtype of a sample of `fit`, smallest and largest value; None if it was no array.
        self._sample: tuple[tuple[int, ...], str, float, float] | None = None

    @property
    def kind(self) -> str:
        """Kind of the outputs. The attribute `output` of an encoder may change."""
        output = getattr(last_step(self.encoder), "output", None)
        return output if output in KINDS else self._kind or "vectors"

    def transform(self, X: Any) -> np.ndarray:
        """Return the outputs for images or paths, of shape (n, n_features)."""

        def encode(images: Any) -> tuple[np.ndarray, ...]:
            return (self._checked(self._call(self.encoder, images), images),)

        return self._in_batches(X, encode)[0]

    def transform_both(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs, and vectors for rescoring.

        Vectors are the logits of an encoder that has some, or else what the last step of a pipeline receives.
        """
        encoder = unwrapped(self.encoder)
        if isinstance(encoder, Pipeline) and len(encoder) > 1 and hasattr(encoder[-1], "transform"):

            def encode(images: Any) -> tuple[np.ndarray, ...]:
                given = self._call(encoder[:-1], images)
                return self._checked(self._call(encoder[-1], given), images), given

            outputs, vectors = self._in_batches(X, encode)
        else:
            outputs, vectors = self.transform(X), None
        if self.kind not in ("bits", "packed"):
            return outputs, self.logits(outputs)
        if vectors is None:
            raise ValueError(
                f"rescore needs vectors, but {self.name}, a {type(encoder).__name__}, returns bits. Pass the "
                "encoder of vectors as rescorer=..., or a Pipeline whose last step turns vectors into bits."
            )
        return outputs, vectors

    def codes(self, outputs: np.ndarray, metric: str) -> np.ndarray:
        """Return outputs for a metric: bits for "hamming", probabilities for "asymmetric", else numbers."""
        if metric not in BINARY_METRICS:
            return np.unpackbits(outputs, axis=1) if self.kind == "packed" else outputs
        if self.kind == "vectors" and not (outputs.min() >= 0 and outputs.max() <= 1):
            raise ValueError(
                f"metric={metric!r} needs bits or probabilities, but {type(self.encoder).__name__}."
                f"transform returns values from {outputs.min():g} to {outputs.max():g}. Use metric='cosine' "
                "or 'l2', or make_pipeline(..., ITQTransformer()), with this encoder."
            )
        if metric == "hamming" and self.kind == "logits":
            return outputs > 0
        probabilities = self._comparable(outputs)
        return probabilities > 0.5 if metric == "hamming" else probabilities.astype(np.float64)

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs as float32 logits, or vectors, which are compared by their cosine."""
        if self.kind in ("logits", "vectors"):
            return outputs.astype(np.float32)
        with np.errstate(divide="ignore"):
            return np.clip(logit(self._comparable(outputs).astype(np.float32)), -_LIMIT, _LIMIT)

    def _comparable(self, outputs: np.ndarray) -> np.ndarray:
        """Return bits, probabilities or vectors."""
        if self.kind == "packed":
            return np.unpackbits(outputs, axis=1)
        return expit(outputs) if self.kind == "logits" else outputs

    def _in_batches(self, X: Any, encode: Callable[[Any], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        if self.reader is None or not is_paths(X):
            return encode(X)
        source = self.reader.open(X)
        parts = [encode(source[i : i + _BATCH]) for i in range(0, len(source), _BATCH)]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _call(self, encoder: Any, X: Any) -> np.ndarray:
        """Return what an encoder, or a step of it, returns; images are flattened for one of vectors."""
        is_stack = isinstance(X, np.ndarray) and X.ndim > 2 and not isinstance(unwrapped(encoder), DMZEncoder)
        if is_stack and getattr(encoder, "n_features_in_", None) == math.prod(X.shape[1:]):
            X = X.reshape(len(X), -1)
        try:
            found = as_numbers(encoder.transform(X), f"{self.name}.transform(X)")
        except NotFittedError as error:
            raise NotFittedError(
                f"{self.name}, a {type(encoder).__name__}, is not fitted. Fit it first; where it is cloned, "
                "as in a grid search, pass sklearn.frozen.FrozenEstimator(transformer)."
            ) from error
        except (TypeError, ValueError) as error:
            if is_paths(X) and getattr(last_step(encoder), "image_reader_", None) is None:
                raise ValueError(
                    f"{self.name} does not take paths ({error}). Pass image_reader=ImageReader(...), with "
                    "the size and mode of the pictures that it was fitted to."
                ) from error
            raise
        if isinstance(X, np.ndarray) and len(X) != len(found):
            raise ValueError(
                f"{self.name}.transform(X) must return a row for each of {len(X)} images, got {found.shape}."
            )
        return found

    def _checked(self, outputs: np.ndarray, images: Any) -> np.ndarray:
        """Return valid outputs; learn their kind from the first."""
        name = f"{self.name}.transform(X)"
        if self.kind not in ("bits", "packed") and outputs.dtype.kind == "f":
            outputs = check_codes(outputs, name, "numbers")
        if self._kind is None:
            zeros_and_ones = ((outputs == 0) | (outputs == 1)).all()
            self._kind = "bits" if zeros_and_ones else "packed" if outputs.dtype == np.uint8 else "vectors"
        if self._sample is None and isinstance(images, np.ndarray) and images.dtype.kind in "buif":
            few = images[:_TRIAL]
            if 0 < math.prod(images.shape[1:]) * _TRIAL <= _TRIAL_VALUES and np.isfinite(few).all():
                self._sample = images.shape[1:], images.dtype.name, float(few.min()), float(few.max())
        outputs = check_codes(outputs, name, KINDS[self.kind])
        width = outputs.shape[1] * (8 if self.kind == "packed" else 1)
        self._width = self._width or width
        if width != self._width:
            raise ValueError(
                f"{name} returned {self._width} values for the images of fit, but {width} for these. Pass "
                "images in the same format, and the encoder that was passed for fit."
            )
        return outputs

    def encoder_state(self) -> dict[str, Any] | None:
        """Return the encoder as state if it is a `DMZEncoder`, the only one that is saved."""
        encoder = unwrapped(self.encoder)
        return fitted_state(encoder) if isinstance(encoder, DMZEncoder) else None

    def state(self) -> dict[str, Any]:
        """Return what recognises the encoder: its codes of noise with the shape and range of the samples."""
        try:
            trial = None if self._sample is None else self._trial()
        except Exception:  # An encoder may refuse noise; it is not compared then.
            trial = None
        return {"kind": self._kind, "width": self._width, "sample": self._sample, "trial": trial}

    def restore(self, state: Any, source: str | os.PathLike, compare: bool) -> None:
        """Take over the `state` of a file; raise ValueError if it is that of another encoder."""
        with restoring(source, "state of an encoder"):
            kind, width, sample, trial = take(state, "kind", "width", "sample", "trial")
            require(kind in KINDS and is_int(width) and width > 0, "unknown kind of codes")
            require(trial is None or (isinstance(trial, np.ndarray) and sample is not None), "no trial")
            self._kind, self._width = kind, width
            if sample is not None:
                shape, dtype, low, high = sample
                require(0 < math.prod(shape) * _TRIAL <= _TRIAL_VALUES, "no shape of a sample")
                require(np.dtype(dtype).kind in "buif" and -np.inf < low <= high < np.inf, "no samples")
                self._sample = sample
        if not compare or trial is None:
            return
        how = "for the same samples differ"
        try:
            found = self._trial()
            same = found.shape == trial.shape
            same = same and np.abs(found - trial).mean() <= _TOLERANCE * np.abs(trial).mean()
        except (TypeError, ValueError) as error:
            same, how = False, f"cannot be computed ({error})"
        if not same:
            raise ValueError(
                f"{self.name}, a {type(self.encoder).__name__}, is not the one that {source} was made with: "
                f"its codes {how}. Pass the same one, fitted to the same samples."
            )

    def _trial(self) -> np.ndarray:
        """Return the codes of noise."""
        assert self._sample is not None
        shape, dtype, low, high = self._sample
        noise = np.random.default_rng(0).uniform(low, high, (_TRIAL, *shape))
        samples = (noise if np.dtype(dtype).kind == "f" else np.rint(noise)).astype(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # The names of features are missing.
            return self._comparable(self.transform(samples)).astype(np.float32)


def restored_embedder(
    encoder: Any,
    saved: Any,
    state: Any,
    source: str | os.PathLike,
    reader: ImageReader | None = None,
    name: str = "encoder",
) -> Embedder:
    """Return the embedder of a file: with the encoder that is passed, or else the saved one.

    Raise ValueError if there is none, or if it is not the one that the file was made with.
    """
    if encoder is None and saved is None:
        raise ValueError(f"{source} holds no {name}, as only a DMZEncoder is saved; pass {name}=.")
    own = encoder is None
    embedder = Embedder(restore_fitted(DMZEncoder, saved, "auto", source) if own else encoder, reader, name)
    if state is not None:  # Earlier files have none.
        embedder.restore(state, source, compare=not own)
    return embedder
