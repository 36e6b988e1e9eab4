"""Binary codes from diffusion autoencoders, with a scikit-learn-style API."""

from dmzrep.encoder import DMZEncoder
from dmzrep.version import __version__

__all__ = ["DMZEncoder", "__version__"]
