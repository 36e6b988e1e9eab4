"""Attribution of a bit, an attribute, or the distance between two codes to pixels."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from dmzrep._base._batching import batches
from dmzrep._base._isolation import isolated
from dmzrep._base._validation import as_array, check_int
from dmzrep.attribution._methods import ScoredEncoder, attributor
from dmzrep.attribution._targets import Score, bit_score, distance_score, linear_head, linear_score
from dmzrep.data import ImageFormat, Source, VectorFormat, is_dataset, open_like_fitted
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.inference import Decoder


@dataclass(frozen=True)
class Attributions:
    """Result of `attribute_bits`.

    Parameters
    ----------
    maps : ndarray of shape ``(n, *sample_shape)``, float32
        One value per pixel (and channel), in the layout of X; positive where the pixel increases the score.
    scores : ndarray of shape (n,), float32
        The attributed score, such as a bit's logit.
    baseline_scores : ndarray of shape (n,), float32, or None
        Score of the baseline; None for Grad-CAM, which has none.
    convergence_delta : ndarray of shape (n,), float32, or None
        Integrated gradients only: sum of the map minus (score - baseline score). Increase `n_steps` if it is
        large.
    """

    maps: np.ndarray
    scores: np.ndarray
    baseline_scores: np.ndarray | None
    convergence_delta: np.ndarray | None


@isolated
def attribute_bits(
    encoder: Any,
    X: Any,
    target: Any,
    *,
    method: str = "integrated_gradients",
    attribute: int | str | None = None,
    reference: Any = None,
    baseline: Any = None,
    n_steps: int = 50,
    window: int | None = None,
    stride: int | None = None,
    layer: int = -1,
    batch_size: int | None = None,
) -> Attributions:
    """Attribute a bit, a linear function of the code, or the distance between two codes to pixels.

    The encoder is not changed.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted on images, or on vectors (integrated gradients only).
    X : array-like, table or map-style dataset of n samples
        Samples in the fitted layout.
    target : int, linear model, array-like of shape (latent_dim,) or "distance"
        The score:

        - an int: the logit of that bit;
        - weights, or a linear model fitted on codes (with `coef_`, or a pipeline whose
          `decision_function` is linear): its decision function, of logits if ``encoder.output`` is
          ``"logits"``, else of probabilities (also in place of bits, which have no gradient);
        - ``"distance"``: the expected number of bits in which a sample differs from `reference`.
    method : {"integrated_gradients", "occlusion", "grad_cam"}, default="integrated_gradients"
        Integrated gradients sum to the difference of the score from that of the baseline. Occlusion is the
        decrease of the score when a window is replaced by the baseline. Grad-CAM is coarse, and uses the
        encoder's convolutions only, not its linear branch (absent with ``init="random"``).
    attribute : int, str or None, default=None
        Output of a linear model that has several, by position or name.
    reference : array-like, optional
        With ``"distance"``: as many samples as X, or one.
    baseline : float or array-like, optional
        Input that represents the absence of a signal: a pixel value, a sample, or n samples, in the units of
        X. None is `reference` if passed, else the middle of the range (the mean, for vectors). The mean image
        is often a good choice.
    n_steps : int, default=50
        Steps of integrated gradients from the baseline to the sample.
    window, stride : int or None, default=None
        Side of the occluding square, by default an eighth of the image's, and its step, by default half a
        window.
    layer : int, default=-1
        Grad-CAM: index of the convolution, -1 for the last. The last has 2 x 2 positions, the one before 4 x
        4.
    batch_size : int or None, default=None
        Largest batch; bounds the memory. None is that of `transform`, 256 at 32 x 32 pixels.

    Returns
    -------
    Attributions
        With maps in the layout of X.

    Raises
    ------
    NotFittedError
        The encoder was not fitted.
    TypeError
        The encoder is not a DMZEncoder.
    ValueError
        The target, an option or a sample is invalid.

    See Also
    --------
    bit_effects : What bits change in decoded images.
    bit_table : Attributes that bits are associated with.

    References
    ----------
    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.
    M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    R. Selvaraju et al., "Grad-CAM", ICCV 2017.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.attribution import attribute_bits
    >>> from dmzrep.datasets import load_digits_images
    >>> X = load_digits_images().images[:128]
    >>> encoder = DMZEncoder(8, max_iter=1, random_state=0).fit(X)
    >>> found = attribute_bits(encoder, X[:5], 3, baseline=0)
    >>> found.maps.shape, found.scores.shape
    ((5, 8, 8), (5,))
    >>> bool(abs(found.convergence_delta).max() < 0.01)
    True
    """
    model = _trained_model(encoder, method)
    samples = open_like_fitted(encoder, X)
    score = _score(encoder, model, target, attribute, reference)
    others = None if reference is None else _as_many(encoder, "reference", reference, len(samples))
    baselines = others if baseline is None else _as_many(encoder, "baseline", baseline, len(samples))
    size = check_int(model.encoder_batch if batch_size is None else batch_size, "batch_size")
    # Hooks and gradient flags are set on a copy.
    network = copy.deepcopy(model.network.encoder).eval().requires_grad_(False)
    scored = ScoredEncoder(network, score)
    options = {"n_steps": n_steps, "window": window, "stride": stride, "layer": layer}
    attribute_part = attributor(scored, model, method, batch_size=size, **options)
    parts: list[Any] = []
    for part in batches(len(samples), size):
        x = model.model_units(samples[part])
        x0 = torch.zeros_like(x[:1]) if baselines is None else _part(model, baselines, part)
        extra: tuple[Tensor, ...] = ()
        if others is not None:
            with torch.no_grad():
                bits = (network(_part(model, others, part)) > 0).float()
            extra = (bits.expand(len(x), -1),)
        maps, delta = attribute_part(x, x0, extra)
        with torch.no_grad():
            scores, scores0 = scored(x, *extra), scored(x0.expand_as(x), *extra)
        results = maps, scores, None if method == "grad_cam" else scores0, delta
        parts.append([None if one is None else one.detach().float().cpu() for one in results])
    columns: list[Any] = [
        None if one[0] is None else torch.cat(one).numpy() for one in zip(*parts, strict=True)
    ]
    return Attributions(_in_layout(columns[0], model.data_format), *columns[1:])


def _trained_model(encoder: Any, method: str) -> Decoder:
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(
            f"attribute_bits needs the network of a DMZEncoder, got a {type(encoder).__name__}. "
            "bit_effects and bit_table work with any encoder."
        )
    check_is_fitted(encoder)
    if not encoder.decoder_.has_code:
        raise ValueError("A model with conditioning='none' has no code, and so no bit to attribute.")
    if isinstance(encoder.data_format_, VectorFormat) and method != "integrated_gradients":
        raise ValueError(
            f"method={method!r} needs images, but the encoder was fitted on vectors. "
            "Use method='integrated_gradients'."
        )
    return encoder.decoder_


def _score(encoder: Any, model: Decoder, target: Any, attribute: Any, reference: Any) -> Score:
    if isinstance(target, str):
        if target != "distance":
            raise ValueError(
                f"target must be a bit's index, a linear model, weights or 'distance', got {target!r}."
            )
        if reference is None:
            raise ValueError("target='distance' needs reference=<images>, as many as X or one.")
        return distance_score
    if reference is not None:
        raise ValueError("reference is for target='distance' only; pass a baseline as baseline=<image>.")
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        return bit_score(int(target), model.latent_dim)
    return linear_score(*linear_head(target, model.latent_dim, attribute), encoder.output == "logits")


def _as_many(encoder: Any, name: str, value: Any, n_samples: int) -> Source:
    """Return one or n samples for a pixel value, a sample, or n samples."""
    sample_shape = encoder.data_format_.sample_shape
    if not is_dataset(value):
        value = as_array(value, name)
        if value.ndim == 0:
            value = np.full(sample_shape, value)
        if value.shape == sample_shape:
            value = value[None]
    try:
        samples = open_like_fitted(encoder, value)
    except ValueError as error:
        error.add_note(f"The invalid argument is {name}.")
        raise
    if len(samples) not in (1, n_samples):
        raise ValueError(f"{name} must have one sample or as many as X, {n_samples}; got {len(samples)}.")
    return samples


def _part(model: Decoder, samples: Source, part: slice) -> Tensor:
    """Return samples in model units; a single sample is the same for all parts."""
    return model.model_units(samples[part] if len(samples) > 1 else samples[:1])


def _in_layout(maps: np.ndarray, data_format: ImageFormat | VectorFormat) -> np.ndarray:
    """Return maps in the layout of the samples."""
    if isinstance(data_format, ImageFormat) and data_format.layout == "HWC":
        maps = np.moveaxis(maps, 1, -1)
    return maps.reshape(len(maps), *data_format.sample_shape)
