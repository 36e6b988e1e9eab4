"""Choosing the length of the code."""

from dmzrep.model_selection._latent_dims import latent_dim_report

__all__ = ["latent_dim_report"]
