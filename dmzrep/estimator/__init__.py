"""The estimator and what belongs to it alone."""

from dmzrep.estimator._authors_checkpoint import load_authors_checkpoint
from dmzrep.estimator._encoder import DMZEncoder

__all__ = ["DMZEncoder", "load_authors_checkpoint"]
