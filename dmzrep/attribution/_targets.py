"""Scores that are attributed to pixels: a bit, a linear model of the code, or a distance between codes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dmzrep._base._validation import as_numbers, did_you_mean

#: From logits (n, latent_dim), and further inputs, to one value per sample.
Score = Callable[..., Tensor]


def bit_score(bit: Any, latent_dim: int) -> Score:
    """Return the logit of one bit as a score."""
    if not 0 <= bit < latent_dim:
        raise ValueError(f"target must be a bit from 0 to {latent_dim - 1}, got {bit!r}.")
    return lambda logits: logits[:, int(bit)]


def linear_score(weights: np.ndarray, intercept: float, on_logits: bool) -> Score:
    """Return a linear function of probabilities, or of logits, as a score."""
    w = torch.from_numpy(weights.astype(np.float32))

    def score(logits: Tensor) -> Tensor:
        code = logits if on_logits else logits.sigmoid()
        return code @ w.to(code.device) + intercept

    return score


def distance_score(logits: Tensor, other_bits: Tensor) -> Tensor:
    """Return the expected number of bits that differ from other codes."""
    p = logits.sigmoid()
    return (p + other_bits - 2.0 * p * other_bits).sum(dim=1)


def linear_head(model: Any, latent_dim: int, attribute: Any = None) -> tuple[np.ndarray, float]:
    """Return the weights, shape (latent_dim,), and the intercept of an output of a linear model of codes.

    Takes weights, an object with `coef_`, or one with a linear `decision_function`, such as a pipeline.
    """
    if hasattr(model, "coef_") and isinstance(model.coef_, list):
        return _of_mixed_attributes(model, latent_dim, attribute)
    if hasattr(model, "coef_"):
        coefficients = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        intercepts = np.broadcast_to(getattr(model, "intercept_", 0.0), len(coefficients))
    elif hasattr(model, "decision_function"):
        coefficients, intercepts = _linear_decisions(model, latent_dim)
    else:
        try:
            coefficients = as_numbers(model, "target").astype(np.float64)
        except ValueError:
            coefficients = np.empty((0, 0, 0))
        if coefficients.ndim != 1:
            raise ValueError(
                "target must be a bit's index, 'distance', one weight per bit, or a fitted linear model with "
                f"coef_ or decision_function; got {type(model).__name__}."
            )
        coefficients, intercepts = coefficients[None], np.zeros(1)
    if coefficients.ndim != 2 or coefficients.shape[1] != latent_dim:
        raise ValueError(
            f"target has {coefficients.shape[-1]} weights, but a code has {latent_dim} bits. "
            "Fit the linear model on this encoder's codes."
        )
    if not (np.isfinite(coefficients).all() and np.isfinite(intercepts).all()):
        raise ValueError("The weights of target contain NaN or infinity.")
    position = _output(model, len(coefficients), attribute)
    return coefficients[position], float(intercepts[position])


def _of_mixed_attributes(model: Any, latent_dim: int, attribute: Any) -> tuple[np.ndarray, float]:
    """As `linear_head`, for a probe of several attributes of which some have more than two classes."""
    position = _output(model, len(model.coef_), attribute)
    if len(model.coef_[position]) > 1:
        raise ValueError(
            f"{attribute!r} has {len(model.coef_[position])} classes. Pass the weights of one as target, "
            "such as probe.direction(attribute, label)."
        )
    weights = linear_head(model.coef_[position][0], latent_dim)[0]
    return weights, float(model.intercept_[position][0])


def _linear_decisions(model: Any, latent_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights from the decisions on unit vectors; raise if the decision function is not linear."""
    rng = np.random.default_rng(0)
    points = np.concatenate([np.zeros((1, latent_dim)), np.eye(latent_dim), rng.random((8, latent_dim))])
    if hasattr(model, "feature_names_in_"):
        points = pd.DataFrame(points, columns=model.feature_names_in_)
    decisions = np.asarray(model.decision_function(points), dtype=np.float64).reshape(len(points), -1)
    intercepts, coefficients = decisions[0], (decisions[1 : latent_dim + 1] - decisions[0]).T
    expected = np.asarray(points)[-8:] @ coefficients.T + intercepts
    if not np.allclose(decisions[-8:], expected, rtol=1e-3, atol=1e-3 * np.abs(decisions).max()):
        raise ValueError(
            f"target must be linear in the code; the decisions of {type(model).__name__} are not. "
            "Fit a linear classifier, such as LogisticRegression, on the codes."
        )
    return coefficients, intercepts


def _output(model: Any, n_outputs: int, attribute: Any) -> int:
    names = _output_names(model, n_outputs)
    listed = ", ".join(map(str, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    if attribute is None:
        if n_outputs > 1:
            raise ValueError(f"target has {n_outputs} outputs ({listed}): choose one with attribute=<name>.")
        return 0
    if isinstance(attribute, (str, int, np.integer)) and attribute in names:
        return names.index(attribute)
    if isinstance(attribute, (int, np.integer)) and 0 <= attribute < n_outputs:
        return int(attribute)
    hint = did_you_mean(attribute, names, f" It has {listed}.")
    raise ValueError(f"target has no attribute {attribute!r}.{hint}")


def _output_names(model: Any, n_outputs: int) -> list[Any]:
    for name in ("attributes_", "classes_"):
        values = getattr(model, name, None)
        if values is not None and len(values) == n_outputs and np.ndim(values[0]) == 0:
            return np.asarray(values, dtype=object).tolist()
    return list(range(n_outputs))
