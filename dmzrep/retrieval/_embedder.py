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
from typing import Any, Self

import numpy as np
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from dmzrep._base._validation import as_numbers
from dmzrep.codes._checks import check_codes
from dmzrep.codes._protocol import check_codec, last_step, unwrapped
from dmzrep.data import is_paths
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._state import fitted_state, restore_fitted
from dmzrep.files._state import require, restoring, take

#: Kinds of outputs, and the kinds of codes that `check_codes` checks them as.
KINDS = {"logits": "numbers", "vectors": "numbers"}
KINDS |= {kind: kind for kind in ("probabilities", "bits", "packed")}
BINARY_METRICS = ("hamming", "asymmetric")
#: Limit of logits computed from probabilities, which float32 rounds to 0 or 1 beyond it.
_LIMIT = 16.0
#: Samples that are kept in files, by whose codes an encoder is recognised, and their most bytes.
_KEPT, _KEPT_BYTES = 8, 1 << 23
#: Largest mean difference between codes of one encoder for the same samples, relative to their mean size.
_TOLERANCE = 0.02


class Embedder:
    """An encoder and the kind of its outputs, which is learned from the first, unless a metric implies it.

    `name` is the parameter that errors name.
    """

    def __init__(self, encoder: Any, name: str = "encoder", metric: str | None = None):
        check_codec(encoder, name, needed=("transform",))
        self.encoder, self.name = encoder, name
        self._kind = None if metric is None or metric in BINARY_METRICS else "vectors"
        self._width: int | None = None
        #: Whether vectors for rescoring are what the last step of a pipeline receives, since fit.
        self._before_last: bool | None = None
        self._samples: np.ndarray | None = None
        self._codes: np.ndarray | None = None  # Of the samples.

    @property
    def kind(self) -> str:
        """Kind of the outputs. The attribute `output` of an encoder may change."""
        output = getattr(last_step(self.encoder), "output", None)
        return output if output in KINDS else self._kind or "vectors"

    def transform(self, X: Any) -> np.ndarray:
        """Return the outputs for images, of shape (n, n_features)."""
        return self._checked(self._call(self.encoder, X), X)

    def transform_both(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs, and vectors for rescoring.

        Vectors are the logits of an encoder that has some, or else what the last step of a pipeline receives.
        """
        encoder, vectors = unwrapped(self.encoder), None
        if isinstance(encoder, Pipeline) and len(encoder) > 1 and hasattr(encoder[-1], "transform"):
            vectors = self._call(encoder[:-1], X)
            outputs = self._checked(self._call(encoder[-1], vectors), X)
        else:
            outputs = self.transform(X)
        if self._before_last is None:
            self._before_last = vectors is not None and self.kind in ("bits", "packed")
        if not self._before_last and self.kind not in ("bits", "packed"):
            return outputs, self.logits(outputs)
        if vectors is None or not self._before_last:
            raise ValueError(
                f"rescore needs vectors, but {self.name}, a {type(encoder).__name__}, returns bits. Pass the "
                "encoder of vectors as rescorer=..., or a Pipeline whose last step turns vectors into bits."
            )
        return outputs, vectors

    def vectors(self, X: Any) -> np.ndarray:
        """Return the outputs for images as vectors for rescoring, which bits are not."""
        outputs = self.transform(X)
        if self.kind in ("bits", "packed"):
            raise ValueError(
                f"{self.name} must return vectors or probabilities, but {type(self.encoder).__name__} has "
                f"output={self.kind!r}. Use set_params(output='logits')."
            )
        return self.logits(outputs)

    def codes(self, outputs: np.ndarray, metric: str) -> np.ndarray:
        """Return outputs for a metric: bits for "hamming", probabilities for "asymmetric", else numbers."""
        if self.kind == "packed":
            outputs = np.unpackbits(outputs, axis=1)
        if metric not in BINARY_METRICS:
            return outputs
        if self.kind == "logits":
            return outputs > 0 if metric == "hamming" else expit(outputs)
        if self.kind == "vectors" and not (outputs.min() >= 0 and outputs.max() <= 1):
            raise ValueError(
                f"metric={metric!r} needs bits or probabilities, but {type(self.encoder).__name__}."
                f"transform returns values from {outputs.min():g} to {outputs.max():g}. Use metric='cosine' "
                "or 'l2', or make_pipeline(..., ITQTransformer()), with this encoder."
            )
        return outputs > 0.5 if metric == "hamming" else outputs.astype(np.float64)

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs as float32 logits, or vectors, which are compared by their cosine."""
        if self.kind in ("logits", "vectors"):
            return outputs.astype(np.float32)
        with np.errstate(divide="ignore"):
            logits = logit(self.codes(outputs, "asymmetric").astype(np.float32))
        return np.clip(logits, -_LIMIT, _LIMIT)

    def _call(self, encoder: Any, X: Any) -> np.ndarray:
        """Return what an encoder, or a step of it, returns; images are flattened for one of vectors."""
        n_features = getattr(encoder, "n_features_in_", None)
        is_stack = (isinstance(X, (list, tuple)) and not is_paths(X)) or len(getattr(X, "shape", ())) > 2
        if n_features is not None and is_stack and not isinstance(unwrapped(encoder), DMZEncoder):
            X = np.asarray(X)
            if X.ndim > 2 and math.prod(X.shape[1:]) == n_features:
                X = X.reshape(len(X), n_features)
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

    def _checked(self, outputs: np.ndarray, X: Any) -> np.ndarray:
        """Return valid outputs for X; learn their kind and width from the first."""
        name = f"{self.name}.transform(X)"
        if self._kind is None:
            is_bits = ((outputs == 0) | (outputs == 1)).all()
            self._kind = "bits" if is_bits else "packed" if outputs.dtype == np.uint8 else "vectors"
        outputs = check_codes(outputs, name, KINDS[self.kind])
        width = outputs.shape[1] * (8 if self.kind == "packed" else 1)
        if self._width is None:
            self._width = width
            if isinstance(X, np.ndarray) and X.dtype.kind in "buif" and X[:_KEPT].nbytes <= _KEPT_BYTES:
                self._samples, self._codes = X[:_KEPT].copy(), self._compared(outputs[:_KEPT])
        if width != self._width:
            raise ValueError(
                f"{name} returned {self._width} values for the images of fit, but {width} for these. Pass "
                "images in the same format, and the encoder that was passed for fit."
            )
        return outputs

    def _compared(self, outputs: np.ndarray) -> np.ndarray:
        """Return bits, or vectors, as float32."""
        return self.codes(outputs, "l2" if self.kind == "vectors" else "hamming").astype(np.float32)

    def state(self) -> dict[str, Any]:
        """Return what recognises the encoder: a few samples and their codes, if these were arrays."""
        return {
            "kind": self._kind,
            "width": self._width,
            "before_last": self._before_last,
            "samples": self._samples,
            "codes": self._codes,
        }

    def encoder_state(self) -> dict[str, Any] | None:
        """Return the encoder as state if it is a `DMZEncoder`, the only one that is saved."""
        encoder = unwrapped(self.encoder)
        return fitted_state(encoder) if isinstance(encoder, DMZEncoder) else None

    @classmethod
    def restored(
        cls, encoder: Any, saved: Any, state: Any, source: str | os.PathLike, name: str = "encoder"
    ) -> Self:
        """Return the embedder of a file, `source`: with the encoder that is passed, or else the saved one.

        Raise ValueError if there is none, or if it is not the one that the file was made with.
        """
        if encoder is None and saved is None:
            raise ValueError(
                f"{source} does not contain {name}, because only a DMZEncoder is saved; pass {name}=."
            )
        own = encoder is None
        embedder = cls(restore_fitted(DMZEncoder, saved, "auto", source) if own else encoder, name)
        if state is None:  # Of an earlier version.
            return embedder
        with restoring(source, "encoder"):
            kind, width, before_last, samples, codes = take(
                {"before_last": None, **state}, "kind", "width", "before_last", "samples", "codes"
            )
            require(kind in KINDS and isinstance(width, int), "unknown kind of codes")
            if own:
                n_bits = embedder.encoder.decoder_.latent_dim
                # Packed bits fill whole bytes.
                require(width in (n_bits, -(-n_bits // 8) * 8), "codes are not of the width of the encoder")
            require(before_last in (None, True, False), "before_last must be a boolean")
            arrays = isinstance(samples, np.ndarray) and isinstance(codes, np.ndarray)
            require(arrays or (samples is None and codes is None), "samples are no arrays")
        embedder._kind, embedder._width, embedder._before_last = kind, width, before_last
        embedder._samples, embedder._codes = samples, codes
        if own or samples is None:
            return embedder
        how = "for the same samples differ"
        try:
            found = embedder._compared(embedder.transform(samples))
            same = np.abs(found - codes).mean() <= _TOLERANCE * np.abs(codes).mean()
        except (TypeError, ValueError) as error:
            same, how = False, f"cannot be computed ({error})"
        if not same:
            raise ValueError(
                f"{name}, a {type(encoder).__name__}, is not the one that {source} was made with: its codes "
                f"{how}. Pass the same one, fitted to the same samples."
            )
        return embedder
