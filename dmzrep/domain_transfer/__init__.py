"""Images of one domain to images of another, through a map from codes to codes."""

from dmzrep.domain_transfer.calibration import expected_calibration_error
from dmzrep.domain_transfer.transfer import DomainTransfer

__all__ = ["DomainTransfer", "expected_calibration_error"]
