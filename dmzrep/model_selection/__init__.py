"""Choosing the length of the code.

Like scikit-learn's package of this name it stands above what it compares: it trains encoders and scores
them by `probing` and `metrics`, which do not know each other.
"""

from dmzrep.model_selection._latent_dims import latent_dim_report

__all__ = ["latent_dim_report"]
