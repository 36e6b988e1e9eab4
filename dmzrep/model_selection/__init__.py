"""Choosing the code length: trains encoders and compares them by probes and reconstructions."""

from dmzrep.model_selection._latent_dims import latent_dim_report

__all__ = ["latent_dim_report"]
