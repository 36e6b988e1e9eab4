"""The prior that codes are sampled from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from dmzrep.priors import PRIORS, CodePrior, IndependentPrior, fit_prior

if TYPE_CHECKING:
    from dmzrep.estimator._encoder import DMZEncoder


def prior_to_sample(encoder: DMZEncoder, prior: str | CodePrior | None) -> CodePrior:
    """Return the prior that `DMZEncoder.sample` uses for its argument."""
    latent_dim = encoder.model_.config.latent_dim
    if prior is None and encoder.prior_ is not None:
        return encoder.prior_
    if isinstance(prior, str) and prior == "uniform":
        return fit_prior("uniform", np.zeros((1, latent_dim)))
    if isinstance(prior, str) and encoder.prior_ is not None and prior == encoder.prior_.name:
        return encoder.prior_
    if isinstance(prior, str) and prior == "independent" and encoder.code_report_ is not None:
        means = encoder.code_report_["mean"].to_numpy(np.float64).clip(1e-6, 1.0 - 1e-6)
        return IndependentPrior().restore({"probabilities_": means}, latent_dim)
    if isinstance(prior, CodePrior):
        check_is_fitted(prior, "n_features_in_")
        if prior.n_features_in_ != latent_dim:
            raise ValueError(
                f"The prior was fitted to codes of {prior.n_features_in_} bits, the encoder has {latent_dim}."
            )
        return prior
    own = ""
    if encoder.prior_ is not None and encoder.prior_.name not in ("uniform", "independent"):
        own = f"{encoder.prior_.name!r} (the fitted one), "
    wanted = prior if isinstance(prior, str) and prior in PRIORS else "chow_liu"
    threshold = {"logits": " > 0", "bits": ""}.get(encoder.output, " > 0.5")
    raise ValueError(
        f"prior must be None, 'uniform', 'independent', {own}or a fitted prior, got {prior!r}. Others need "
        "to be fitted to codes, which the encoder does not keep: "
        f"dmzrep.priors.fit_prior({wanted!r}, encoder.transform(X){threshold})."
    )
