import dataclasses
import json

import pytest
import torch

from dmzrep.networks._encoders import ConvEncoder, MLPEncoder
from dmzrep.networks._mlp import ResidualMLP
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, memory_format
from dmzrep.networks._normalization import BatchNorm
from dmzrep.networks._unet import UNet

IMAGES = NetworkConfig((3, 9, 8), 5, "unet", (8, 16), (1, 1), encoder_width=4)
VECTORS = NetworkConfig((7,), 5, "mlp", (16,), (2,), encoder_width=8)
ODD = NetworkConfig(
    (1, 8, 8),
    3,
    "unet",
    (8, 8),
    (2, 3),
    attention_levels=(0, 1),
    patch_size=2,
    conditioning="cross_attention",
    code_input="one_hot",
    dropout=0.1,
    learn_variance=True,
    encoder_width=4,
    encoder_norm="group",
    init_features="values",
    paired_logits=True,
)


@pytest.mark.parametrize("config", [IMAGES, VECTORS, ODD], ids=["images", "vectors", "odd"])
def test_settings_come_back_from_json(config):
    back = NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config
    assert isinstance(back.widths, tuple) and hash(back) == hash(config)


def test_every_setting_is_in_the_dictionary():
    assert set(IMAGES.to_dict()) == {field.name for field in dataclasses.fields(NetworkConfig)}


def test_unknown_settings_are_refused_by_name():
    message = r"Unknown network settings \['colour', 'wdith'\]; known are .*'widths'"
    with pytest.raises(ValueError, match=message):
        NetworkConfig.from_dict(IMAGES.to_dict() | {"wdith": 3, "colour": 1})


@pytest.mark.parametrize(
    ("config", "encoder", "denoiser"), [(IMAGES, ConvEncoder, UNet), (VECTORS, MLPEncoder, ResidualMLP)]
)
def test_the_settings_choose_the_networks(config, encoder, denoiser):
    model = DiffusionAutoencoder(config)
    assert type(model.encoder) is encoder and type(model.denoiser) is denoiser
    counts = model.parameter_counts()
    assert set(counts) == {"encoder", "denoiser"} and min(counts.values()) > 0
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("learn_variance", [False, True])
@pytest.mark.parametrize("config", [IMAGES, VECTORS, ODD], ids=["images", "vectors", "odd"])
def test_codes_have_their_width_and_predictions_the_datas_shape_twice_with_a_variance(config, learn_variance):
    config = dataclasses.replace(config, learn_variance=learn_variance)
    model = DiffusionAutoencoder(config)
    x = torch.randn(4, *config.data_shape)
    logits = model.encode(x)
    assert logits.shape == (4, config.latent_dim)
    channels, *sides = config.data_shape
    out = model(x, torch.rand(4) * 999, logits.sigmoid())
    assert out.shape == (4, channels * (2 if learn_variance else 1), *sides)


def test_every_setting_of_the_odd_model_arrives():
    model = DiffusionAutoencoder(ODD)
    assert model.encoder.head.paired and model.encoder.linear_init is not None
    assert not any(isinstance(m, BatchNorm) for m in model.modules())
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}
    assert model.denoiser.patch_size == 2 and model.denoiser.conditioning == "cross_attention"
    assert [len(stages) for stages in model.denoiser.down] == [2, 2]
    assert [len(stages) for stages in model.denoiser.up] == [3, 3]
    one_hot = DiffusionAutoencoder(dataclasses.replace(ODD, conditioning="bias"))
    assert one_hot.denoiser.code_layers.linear.in_features == 2 * ODD.latent_dim


def test_weights_come_back_from_a_state_dict():
    first, second = DiffusionAutoencoder(ODD).eval(), DiffusionAutoencoder(ODD).eval()
    x = torch.randn(2, 1, 8, 8)
    assert not torch.equal(first.encode(x), second.encode(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.encode(x), second.encode(x))


def test_images_are_laid_out_channels_last():
    assert memory_format(IMAGES) == torch.channels_last
    assert memory_format(VECTORS) == torch.contiguous_format
