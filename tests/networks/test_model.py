import dataclasses
import json

import pytest
import torch

from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig

IMAGES = NetworkConfig((3, 9, 8), 5, "unet", (8, 16), (1, 1), encoder_width=4)
VECTORS = NetworkConfig((7,), 5, "mlp", (16,), (2,), encoder_width=8)
OPTIONS = {"attention_levels": (0, 1), "patch_size": 2, "dropout": 0.1, "learn_variance": True}
OPTIONS |= {"conditioning": "cross_attention", "code_input": "one_hot", "paired_logits": True}
OPTIONS |= {"encoder_width": 4, "encoder_depth": 1, "encoder_norm": "group", "init_features": "values"}
CUSTOM = NetworkConfig((1, 8, 8), 3, "unet", (8, 8), (2, 3), **OPTIONS)


@pytest.mark.parametrize("config", [IMAGES, VECTORS, CUSTOM], ids=["images", "vectors", "odd"])
def test_settings_survive_json(config):
    back = NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config
    assert isinstance(back.widths, tuple) and hash(back) == hash(config)


def test_unknown_settings_are_refused_by_name():
    message = r"Unknown network settings \['colour', 'wdith'\]; known are .*'widths'"
    with pytest.raises(ValueError, match=message):
        NetworkConfig.from_dict(IMAGES.to_dict() | {"wdith": 3, "colour": 1})


@pytest.mark.parametrize("learn_variance", [False, True])
@pytest.mark.parametrize("config", [IMAGES, VECTORS, CUSTOM], ids=["images", "vectors", "odd"])
def test_shapes_of_logits_and_predictions(config, learn_variance):
    config = dataclasses.replace(config, learn_variance=learn_variance)
    model = DiffusionAutoencoder(config)
    x = torch.randn(4, *config.data_shape)
    logits = model.encode(x)
    assert logits.shape == (4, config.latent_dim)
    channels, *sides = config.data_shape
    out = model(x, torch.rand(4) * 999, logits.sigmoid())
    assert out.shape == (4, channels * (2 if learn_variance else 1), *sides)
    assert sum(model.parameter_counts().values()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_changes_the_networks(name):
    config = dataclasses.replace(CUSTOM, conditioning="adagn")
    default = next(field.default for field in dataclasses.fields(config) if field.name == name)
    changed = dataclasses.replace(config, **{name: default})
    assert repr(DiffusionAutoencoder(changed)) != repr(DiffusionAutoencoder(config))
