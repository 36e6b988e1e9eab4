"""UNets of diffusers as denoisers: initial output, pretraining, refusals."""

import copy
import json
import warnings

import numpy as np
import pytest
import torch

from dmzrep import DiffusersBackbone, DMZEncoder
from dmzrep.diffusion._schedule import NoiseSchedule
from tests.encoders import make_encoder

diffusers = pytest.importorskip("diffusers")
LATENT_DIM = 8
SMALL = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1}
SMALL |= {"block_out_channels": (16, 32), "norm_num_groups": 8}


def unconditional(**settings):
    blocks = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    torch.manual_seed(0)
    return diffusers.UNet2DModel(**(SMALL | blocks | settings))


def conditional(width=2 * LATENT_DIM):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        cross_attention_dim=width,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        **SMALL,
    )


def pipeline(folder, **scheduler):
    diffusers.DDPMPipeline(unconditional(), diffusers.DDPMScheduler(**scheduler)).save_pretrained(folder)
    return folder


def batch(n=3):
    generator = torch.Generator().manual_seed(1)
    x, z = torch.randn(n, 1, 8, 8, generator=generator), torch.rand(n, LATENT_DIM, generator=generator)
    return x, torch.tensor([0.0, 17.0, 999.0])[:n], z


def encoder(backbone, **params):
    small = {"encoder_width": 8, "max_iter": 1, "random_state": 0, "init": "random", "encoder_augment": None}
    return make_encoder(LATENT_DIM, backbone=backbone, **small | params)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resnet_time_scale_shift": "scale_shift"},
        {"downsample_type": "resnet", "upsample_type": "resnet"},
        {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0},
    ],
    ids=str,
)
def test_the_initial_output_equals_that_of_the_unet(settings):
    unet = unconditional(**settings).eval()
    backbone = DiffusersBackbone(unet, LATENT_DIM).eval()
    x, t, z = batch()
    with torch.no_grad():
        torch.testing.assert_close(backbone(x, t, z), unet(x, t).sample, rtol=0.0, atol=1e-6)
        torch.testing.assert_close(backbone(x, t, 1.0 - z), unet(x, t).sample, rtol=0.0, atol=1e-6)


def test_every_residual_block_has_a_code_layer():
    unet = unconditional()
    backbone = DiffusersBackbone(unet, LATENT_DIM).eval()
    layers = [p for name, p in backbone.named_parameters() if name.endswith("time_emb_proj.code.weight")]
    assert len(layers) == sum(type(m).__name__ == "ResnetBlock2D" for m in unet.modules()) > 4
    x, t, z = batch()
    for layer in layers:
        with torch.no_grad():
            before = backbone(x, t, z)
            layer[:, 0] += 1.0
            assert not torch.equal(before, backbone(x, t, z))
    # The original UNet is unchanged.
    assert all("code" not in name for name, _ in unet.named_parameters())


def test_the_code_is_one_context_token_of_a_conditional_unet():
    unet = conditional().eval()
    backbone = DiffusersBackbone(unet, LATENT_DIM).eval()
    x, t, z = batch()
    context = torch.stack([1.0 - z, z], dim=2).flatten(1)[:, None]
    with torch.no_grad():
        assert torch.equal(backbone(x, t, z), unet(x, t, context).sample)
        narrow = conditional(LATENT_DIM).eval()
        signed = DiffusersBackbone(narrow, LATENT_DIM).eval()
        assert torch.equal(signed(x, t, z), narrow(x, t, (2.0 * z - 1.0)[:, None]).sample)


@pytest.mark.parametrize("layout", ["pipeline", "flat", "unet"])
def test_folders_of_diffusers_are_read(tmp_path, layout):
    pipeline(tmp_path, num_train_timesteps=1000)
    if layout == "flat":  # The layout of the first public DDPMs.
        for file in [*(tmp_path / "unet").iterdir(), *(tmp_path / "scheduler").iterdir()]:
            file.rename(tmp_path / file.name)
        (tmp_path / "unet").rmdir()
    folder = tmp_path / "unet" if layout == "unet" else tmp_path
    backbone = DiffusersBackbone.from_pretrained(folder, LATENT_DIM)
    x, t, z = batch()
    with torch.no_grad():
        expected = unconditional().eval()(x, t).sample
        torch.testing.assert_close(backbone.eval()(x, t, z), expected, rtol=0.0, atol=1e-6)
    assert backbone.pretraining.objective == (None if layout == "unet" else "epsilon")


def test_fine_tuning_adopts_objective_and_noise_schedule(tmp_path, digits):
    backbone = DiffusersBackbone.from_pretrained(pipeline(tmp_path), LATENT_DIM)
    before = copy.deepcopy(backbone.state_dict())
    fitted = encoder(backbone, learning_rate=1e-4).fit(digits[:100])
    assert fitted.objective_.kind == "epsilon"
    assert fitted.objective_.schedule == NoiseSchedule.named("linear", 1000)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    trained = fitted.model_.denoiser.state_dict()
    assert all(trained[name].any() for name in trained if name.endswith("code.weight"))
    fitted.save(tmp_path / "encoder")
    again = DMZEncoder.load(tmp_path / "encoder", backbone=DiffusersBackbone(unconditional(), LATENT_DIM))
    np.testing.assert_array_equal(again.transform(digits[:3]), fitted.transform(digits[:3]))
    # Equal values may be passed instead of "auto".
    encoder(backbone, objective="epsilon", noise_schedule="linear").fit(digits[:100])


def test_any_schedule_and_prediction_type_is_adopted(tmp_path, digits):
    settings = {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}
    settings["num_train_timesteps"] = 500
    backbone = DiffusersBackbone.from_pretrained(pipeline(tmp_path, **settings), LATENT_DIM)
    fitted = encoder(backbone, n_timesteps=500).fit(digits[:100])
    expected_alpha_bar = diffusers.DDPMScheduler(**settings).alphas_cumprod.numpy()
    assert fitted.objective_.kind == "v"
    np.testing.assert_allclose(fitted.objective_.schedule.alpha_bar, expected_alpha_bar, rtol=1e-4)
    # The UNet is evaluated at timesteps on the scale of its training.
    x, t, z = batch()
    with torch.no_grad():
        expected = unconditional().eval()(x, t / 2.0).sample
        torch.testing.assert_close(backbone.eval()(x, t, z), expected, rtol=0.0, atol=1e-6)
    for params, message in [
        ({"n_timesteps": 1000}, "n_timesteps=1000, but backbone was trained with 500"),
        ({"noise_schedule": "cosine"}, "noise_schedule='cosine', but backbone was trained with another"),
        ({"objective": "epsilon"}, "objective='epsilon', but backbone was trained to predict 'v'"),
    ]:
        with pytest.raises(ValueError, match=message):
            encoder(backbone, **{"n_timesteps": 500} | params).fit(digits[:100])


def test_a_folder_without_a_scheduler_needs_objective_and_noise_schedule(tmp_path, digits):
    unconditional().save_pretrained(tmp_path)
    backbone = DiffusersBackbone.from_pretrained(tmp_path, LATENT_DIM)
    with pytest.raises(
        ValueError, match=r"Set objective and noise_schedule; .*objective='epsilon', noise_schedule='linear'"
    ):
        encoder(backbone).fit(digits[:100])
    fitted = encoder(backbone, objective="epsilon", noise_schedule="linear").fit(digits[:100])
    assert fitted.objective_.kind == "epsilon"


def test_unsuitable_images_are_refused_or_warned_about(tmp_path, digits):
    backbone = DiffusersBackbone.from_pretrained(pipeline(tmp_path), LATENT_DIM)
    images = digits[:40]
    larger = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    with pytest.warns(UserWarning, match="trained on images of 8 x 8 pixels, but X holds images of 16 x 16"):
        encoder(backbone).fit(larger)
    colour, vectors = np.repeat(images[:, :, :, None], 3, axis=3), images.reshape(40, -1).astype(np.float32)
    for X, params, message in [
        (colour, {}, "for images of 1 channels, but X holds images of 3"),
        (images, {"latent_dim": 16}, "made for latent_dim=8, but latent_dim=16"),
        (images, {"training__learn_variance": True}, "Use learn_variance=False"),
        (vectors, {}, "which needs images, but X holds vectors"),
    ]:
        with pytest.raises(ValueError, match=message):
            encoder(backbone).set_params(**params).fit(X)


def test_an_untrained_unet_has_the_default_objective(digits):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="backbone")
        fitted = encoder(DiffusersBackbone(conditional(), LATENT_DIM)).fit(digits[:100])
    assert fitted.objective_.kind == "v"
    assert fitted.objective_.schedule == NoiseSchedule.named("cosine", 1000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.nn.Linear(1, 1), "unet must be one of"),
        (lambda: unconditional(num_class_embeds=10), "conditional on classes"),
        (lambda: unconditional(time_embedding_type="fourier"), "'positional' is needed"),
        (lambda: conditional(17), "Make the UNet with cross_attention_dim=16"),
    ],
)
def test_unets_that_cannot_take_a_code_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        DiffusersBackbone(make(), LATENT_DIM)


def test_unsupported_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="names of models are not looked up"):
        DiffusersBackbone.from_pretrained("google/ddpm-cifar10-32", LATENT_DIM)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    with pytest.raises(ValueError, match="holds a AutoencoderKL"):
        DiffusersBackbone.from_pretrained(tmp_path, LATENT_DIM)
    pipeline(tmp_path)
    file = tmp_path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({"_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000}))
    with pytest.raises(ValueError, match="ScoreSdeVeScheduler, which is not for variance-preserving"):
        DiffusersBackbone.from_pretrained(tmp_path, LATENT_DIM)
    file.write_text(json.dumps(dict(diffusers.DDPMScheduler(rescale_betas_zero_snr=True).config)))
    with pytest.raises(ValueError, match="zero terminal SNR"):
        DiffusersBackbone.from_pretrained(tmp_path, LATENT_DIM)
