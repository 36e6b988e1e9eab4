"""The estimator, and the reader of the authors' checkpoints."""

from dmzrep.estimator._authors_checkpoint import load_authors_checkpoint
from dmzrep.estimator._encoder import DMZEncoder

__all__ = ["DMZEncoder", "load_authors_checkpoint"]
