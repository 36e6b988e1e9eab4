import pytest
import torch


@pytest.fixture
def randomise():
    """Return a function that redraws all weights of a module, so that no branch is zero."""

    def draw(module):
        with torch.no_grad():
            for parameter in module.parameters():
                fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
                noise = torch.randn_like(parameter) * fan_in**-0.5
                parameter.copy_(noise if parameter.dim() > 1 else parameter + noise)
        return module

    return draw
