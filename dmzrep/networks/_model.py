"""The diffusion autoencoder: an encoder to binary codes and a denoiser conditioned on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep.networks._custom_backbone import CUSTOM
from dmzrep.networks._encoders import ConvEncoder, MLPEncoder
from dmzrep.networks._feature_encoder import FeatureEncoder
from dmzrep.networks._gaussian_denoiser import CorrectedDenoiser, GaussianDenoiser
from dmzrep.networks._mlp import ResidualMLP
from dmzrep.networks._unet import UNet


@dataclass(frozen=True)
class NetworkConfig:
    """The shapes of both networks, as JSON-serialisable values.

    `data_shape` is (channels, H, W) or (features,). `widths` are the channels at each level of the UNet, or
    (hidden features,) of the MLP; `depth` is the number of residual blocks at each level, (down, up), or
    (blocks,) of the MLP. `init_features` are the features of the encoder's linear branch, if any,
    `init_filters` the number of its filters. `module` describes a custom denoiser, to which the other
    settings of the denoiser do not apply. Likewise, `extractor` describes a custom or pretrained feature
    extractor of the encoder, with `extractor_features` features; `extractor_frozen` is whether it is not
    trained. `gaussian` is the kind of prediction, "v", "epsilon" or "sample", of a denoiser with a
    `GaussianDenoiser` for a noise schedule of `n_timesteps`; None without.
    """

    data_shape: tuple[int, ...]
    latent_dim: int
    backbone: str
    widths: tuple[int, ...]
    depth: tuple[int, ...]
    attention_levels: tuple[int, ...] = ()
    patch_size: int = 1
    conditioning: str = "bias"
    code_input: str = "signed"
    dropout: float = 0.0
    learn_variance: bool = False
    gaussian: str | None = None
    n_timesteps: int = 1000
    encoder_width: int = 32
    encoder_depth: int = 0
    encoder_norm: str = "batch"
    init_features: str | None = None
    init_filters: int = 64
    paired_logits: bool = False
    normalize_logits: bool = False
    encoder_slope: float = 0.2
    module: str | None = None
    extractor: str | None = None
    extractor_features: int = 0
    extractor_frozen: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary of JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Return a config from a dictionary of `to_dict`, in which tuples may be lists."""
        names = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ValueError(f"Unknown network settings {unknown}; known are {sorted(names)}.")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


def build_denoiser(config: NetworkConfig) -> UNet | ResidualMLP | CorrectedDenoiser:
    if config.backbone == CUSTOM:
        raise ValueError(f"The denoiser is custom ({config.module}) and must be passed as a module.")
    channels = config.data_shape[0]
    out = channels * (2 if config.learn_variance else 1)
    if config.backbone == "mlp":
        return ResidualMLP(
            channels,
            out,
            config.latent_dim,
            width=config.widths[0],
            depth=config.depth[0],
            conditioning=config.conditioning,
            code_input=config.code_input,
            dropout=config.dropout,
        )
    network = UNet(
        # Further inputs are the mean image of the code and the Gaussian estimate.
        channels if config.gaussian is None else 3 * channels,
        out,
        config.latent_dim,
        config.widths,
        depth=(config.depth[0], config.depth[-1]),
        attention_levels=config.attention_levels,
        conditioning=config.conditioning,
        code_input=config.code_input,
        patch_size=config.patch_size,
        dropout=config.dropout,
        image_size=(config.data_shape[1], config.data_shape[2]),
    )
    if config.gaussian is None:
        return network
    n_bits = 0 if config.conditioning == "none" else config.latent_dim
    gaussian = GaussianDenoiser(config.data_shape, n_bits, config.code_input, config.n_timesteps)
    return CorrectedDenoiser(network, gaussian, config.gaussian)


def build_encoder(
    config: NetworkConfig, extractor: nn.Module | None = None
) -> ConvEncoder | MLPEncoder | FeatureEncoder:
    """Build the encoder, which holds the extractor if the config has one."""
    if extractor is not None:
        return FeatureEncoder(
            extractor,
            config.extractor_features,
            config.latent_dim,
            frozen=config.extractor_frozen,
            normalize_logits=config.normalize_logits,
        )
    if config.extractor is not None:
        raise ValueError(f"The extractor is custom ({config.extractor}) and must be passed as a module.")
    if len(config.data_shape) == 1:
        return MLPEncoder(
            config.data_shape,
            config.latent_dim,
            width=config.encoder_width,
            init_features=config.init_features,
            normalize_logits=config.normalize_logits,
        )
    return ConvEncoder(
        config.data_shape,  # type: ignore[arg-type]
        config.latent_dim,
        width=config.encoder_width,
        depth=config.encoder_depth,
        norm=config.encoder_norm,
        paired=config.paired_logits,
        init_features=config.init_features,
        init_filters=config.init_filters,
        normalize_logits=config.normalize_logits,
        slope=config.encoder_slope,
    )


class DiffusionAutoencoder(nn.Module):
    """An encoder x -> logits of bits, and a denoiser (x_t, t, z) -> prediction.

    Proszewska, Malkin, Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation
    and Representation Learning", 2025 (arXiv 2506.00136).
    """

    def __init__(
        self,
        config: NetworkConfig,
        denoiser: nn.Module | None = None,
        extractor: nn.Module | None = None,
    ):
        super().__init__()
        self.config = config
        self.encoder: ConvEncoder | MLPEncoder | FeatureEncoder = build_encoder(config, extractor)
        self.denoiser: nn.Module = build_denoiser(config) if denoiser is None else denoiser

    def encode(self, x: Tensor) -> Tensor:
        """Map data in model units to logits of shape (n, latent_dim)."""
        return self.encoder(x)

    def forward(self, x_t: Tensor, t: Tensor, z: Tensor | None) -> Tensor:
        """Run the denoiser."""
        return self.denoiser(x_t, t, z)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of parameters of the encoder and of the denoiser."""
        return {
            "encoder": sum(p.numel() for p in self.encoder.parameters()),
            "denoiser": sum(p.numel() for p in self.denoiser.parameters()),
        }


def custom_prefixes(config: NetworkConfig) -> tuple[str, ...]:
    """Return what the names of the weights of custom modules begin with."""
    custom = {"denoiser.": config.module, "encoder.extractor.": config.extractor}
    return tuple(prefix for prefix, described in custom.items() if described is not None)


def place(model: DiffusionAutoencoder, device: torch.device) -> DiffusionAutoencoder:
    """Move a model to a device, in the fastest memory format."""
    model.to(device)
    model.to(memory_format=memory_format(model.config))  # type: ignore[call-overload]
    return model


def memory_format(config: NetworkConfig) -> torch.memory_format:
    """Return the fastest memory format of the networks: channels last for images."""
    return torch.channels_last if len(config.data_shape) == 3 else torch.contiguous_format
