"""Images of one domain to images of another, through a map from codes to codes."""

from dmzrep.transfer._calibration import expected_calibration_error
from dmzrep.transfer._transfer import DomainTransfer

__all__ = ["DomainTransfer", "expected_calibration_error"]
