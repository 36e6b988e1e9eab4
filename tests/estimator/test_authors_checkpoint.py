"""Checkpoints in the layout of the authors' code."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from dmzrep import DMZEncoder, load_authors_checkpoint, paper_backbone
from dmzrep.errors import PersistenceError

diffusers = pytest.importorskip("diffusers")

LATENT_DIM, HEADS = 8, 4


class AuthorsModel(nn.Module):
    """Model with the parameter names and shapes of the authors' code: an encoder and a UNet."""

    def __init__(self, attention=("none", "cross"), width=8):
        super().__init__()
        self.encoder, layers = nn.Module(), []
        for channels, out in itertools.pairwise([3, width, 2 * width, 4 * width, 8 * width]):
            convolution = nn.Conv2d(channels, out, 3, stride=2, padding=1)
            layers.append(nn.Sequential(convolution, nn.BatchNorm2d(out), nn.LeakyReLU()))
        self.encoder.layers = nn.Sequential(*layers)
        self.encoder.proj = nn.Linear(32 * width, 2 * LATENT_DIM)
        kinds = {"none": "DownBlock2D", "self": "AttnDownBlock2D", "cross": "CrossAttnDownBlock2D"}
        down = tuple(kinds[kind] for kind in attention)
        self.unet = diffusers.UNet2DConditionModel(
            sample_size=32,
            in_channels=3,
            out_channels=6,
            layers_per_block=1,
            block_out_channels=(32, 32),
            down_block_types=down,
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(down)),
            mid_block_type="UNetMidBlock2DCrossAttn",
            attention_head_dim=HEADS,
            resnet_time_scale_shift="scale_shift",
            cross_attention_dim=2 * LATENT_DIM,
        )

    def two_logits(self, x):
        return self.encoder.proj(self.encoder.layers(x).flatten(1)).reshape(len(x), -1, 2)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)


def save(model, path):
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture
def authors(images):
    torch.manual_seed(0)
    model = AuthorsModel().train()
    with torch.no_grad():
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 2.0)
        model.two_logits(model_units(images))  # Changes the running statistics.
    return model.eval()


def model_units(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1.0


def test_codes_and_denoiser_are_those_of_the_authors_model(authors, images, tmp_path):
    encoder = load_authors_checkpoint(
        save(authors, tmp_path / "ema.pt"), images, heads=HEADS, output="logits"
    )
    assert isinstance(encoder, DMZEncoder) and encoder.latent_dim == LATENT_DIM
    x = model_units(images)
    generator = torch.Generator().manual_seed(0)
    noised, t = torch.randn(4, 3, 32, 32, generator=generator), torch.tensor([0.0, 5.0, 500.0, 999.0])
    bits = torch.rand(4, LATENT_DIM, generator=generator).round()
    with torch.no_grad():
        zero, one = authors.two_logits(x).unbind(2)
        pairs = nn.functional.one_hot(bits.long(), 2).float().flatten(1)
        expected = authors.unet(noised, t, pairs[:, None]).sample
        found = encoder.model_(noised, t, bits)
    np.testing.assert_allclose(encoder.transform(images), (one - zero).numpy(), atol=1e-5)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)
    assert encoder.objective_.kind == "epsilon" and encoder.objective_.learn_variance
    assert encoder.prior_.name == "uniform" and len(encoder.code_report_) == LATENT_DIM


def test_a_loaded_checkpoint_samples_and_is_saved(authors, images, tmp_path):
    encoder = load_authors_checkpoint(save(authors, tmp_path / "ema.pt"), images, heads=HEADS)
    assert encoder.sample(1, n_steps=2, random_state=0).shape == (1, 32, 32, 3)
    encoder.save(tmp_path / "encoder.safetensors")
    shape = {"width": (32, 32), "depth": 1, "attention": (16,), "heads": HEADS, "latent_dim": LATENT_DIM}
    again = DMZEncoder.load(tmp_path / "encoder.safetensors", backbone=paper_backbone("cifar10", **shape))
    np.testing.assert_array_equal(again.transform(images), encoder.transform(images))


def test_a_fit_starts_from_the_authors_denoiser(authors, images, tmp_path):
    encoder = load_authors_checkpoint(save(authors, tmp_path / "ema.pt"), images, heads=HEADS)
    encoder.set_params(max_iter=1, learning_rate=1e-9, batch_size=10, random_state=0).fit(images)
    weight = encoder.model_.denoiser.unet.conv_in.weight
    torch.testing.assert_close(weight, authors.unet.conv_in.weight, rtol=0.0, atol=1e-6)
    assert encoder.n_iter_ == 1


def test_levels_with_self_attention_are_recognised(images, tmp_path, monkeypatch):
    monkeypatch.setattr("dmzrep.estimator._authors_checkpoint.calibrate", lambda *_, **__: None)
    torch.manual_seed(0)
    path = save(AuthorsModel(("self", "cross")), tmp_path / "ema.pt")
    encoder = load_authors_checkpoint(path, images, heads=HEADS)
    assert encoder.backbone.unet.config.down_block_types == ("AttnDownBlock2D", "CrossAttnDownBlock2D")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"state": {0: {"step": 1}}}, r"not opt\*\.pt"),
        (lambda state: {k: v for k, v in state.items() if k.startswith("unet")}, "without an encoder"),
        (lambda state: {k: v for k, v in state.items() if "mid_block.attentions" not in k}, "another kind"),
        (lambda state: {k: state[k] for k in state if k != "unet.conv_out.bias"}, r"unet\.conv_out\.bias"),
    ],
)
def test_other_checkpoints_are_refused(authors, images, tmp_path, change, message):
    path = tmp_path / "file.pt"
    torch.save(change(authors.state_dict()), path)
    with pytest.raises(PersistenceError, match=message):
        load_authors_checkpoint(path, images, heads=HEADS)


def test_other_images_files_and_recipes_are_refused(authors, images, tmp_path):
    path = save(authors, tmp_path / "ema.pt")
    with pytest.raises(ValueError, match=r"images of \(3, 32, 32\)"):
        load_authors_checkpoint(path, images[:, :, :, :1], heads=HEADS)
    for content in (b"", b"not a checkpoint at all", b"\x80\x02}q\x00."):
        path.write_bytes(content)
        with pytest.raises(PersistenceError, match="is not a"):
            load_authors_checkpoint(path, images)
    with pytest.raises(FileNotFoundError):
        load_authors_checkpoint(tmp_path / "none.pt", images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist"}, "name must be one of .* got 'mnist'"),
        ({"heads": 5}, r"heads must divide the channels .* \[32\], got 5"),
        ({"attention_kinds": ("none", "crss")}, "attention_kinds must be one of .*Did you mean 'cross'"),
        ({"widht": (32,)}, "Unknown parameter 'widht'.* Did you mean 'width'"),
    ],
)
def test_invalid_parameters_of_the_backbone_are_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        paper_backbone(**{"name": "cifar10", "width": (32, 32), "depth": 1} | arguments)


@pytest.mark.slow
def test_the_papers_network_has_the_papers_number_of_parameters():
    backbone = paper_backbone("cifar10")
    assert round(sum(p.numel() for p in backbone.parameters()) / 1e6, 1) == 68.6
