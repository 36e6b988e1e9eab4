"""Networks: the encoder to binary codes and the denoisers, independent of the noise schedule."""

from dmzrep.networks._diffusers_backbone import DiffusersBackbone
from dmzrep.networks._options import Network
from dmzrep.networks._paper_backbone import paper_backbone

__all__ = ["DiffusersBackbone", "Network", "paper_backbone"]
