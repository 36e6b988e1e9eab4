"""UNets of the diffusers library, which is imported on first use, as denoisers."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep._base._validation import as_path, check_int, short_repr
from dmzrep.networks._blocks import zero_init
from dmzrep.networks._relaxation import code_features

UNETS = ("UNet2DModel", "UNet2DConditionModel")
#: Objectives by the "prediction_type" of a scheduler.
OBJECTIVES = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}


@dataclass(frozen=True)
class Pretraining:
    """How a network was trained: objective and betas of its noise schedule, None if unknown."""

    objective: str | None = None
    betas: tuple[float, ...] | None = None


class DiffusersBackbone(nn.Module):
    """A UNet of diffusers as a denoiser of `DMZEncoder`, conditioned on the code.

    Each residual block of an unconditional ``UNet2DModel`` gets a linear projection of the code in addition
    to that of the timestep. These layers are initialised to zero, so that the initial output is that of the
    UNet. The code is the only context token of a ``UNet2DConditionModel``, as in the paper.

    Parameters
    ----------
    unet : UNet2DModel or UNet2DConditionModel
        Copied. A ``UNet2DConditionModel`` needs ``cross_attention_dim=2 * latent_dim``, for two adjacent
        inputs 1 - z and z per bit, or ``cross_attention_dim=latent_dim``, for one input of -1 or +1.
    latent_dim : int
        Number of bits; must equal `latent_dim` of the `DMZEncoder`.
    pretraining : Pretraining or None, default=None
        How the UNet was trained; `DMZEncoder.fit` uses the same. None for an untrained UNet.

    Attributes
    ----------
    unet : UNet2DModel or UNet2DConditionModel
        The copy, including the layers of the code.
    latent_dim : int
        Number of bits.
    data_shape : tuple
        (channels, H, W) of the UNet's images; None for an unknown side.
    learns_variance : bool
        Whether the output has twice the channels, the second half for the reverse variance.

    Raises
    ------
    ValueError
        The class of the UNet is not supported, or its conditioning does not match `latent_dim`.

    See Also
    --------
    DiffusersBackbone.from_pretrained : From a folder.

    Notes
    -----
    diffusers is an optional dependency: ``pip install dmzrep[diffusers]``.

    References
    ----------
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020 (the unconditional networks).
    Proszewska, Malkin, Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation and
    Representation Learning", 2025, arXiv 2506.00136 (fine-tuning them with a code).

    Examples
    --------
    >>> import torch
    >>> from diffusers import UNet2DModel
    >>> from dmzrep import DiffusersBackbone
    >>> unet = UNet2DModel(8, 1, 1, down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
    ...                    block_out_channels=(8,), norm_num_groups=4)
    >>> backbone = DiffusersBackbone(unet, latent_dim=16)
    >>> x, t, z = torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.zeros(2, 16)
    >>> torch.equal(backbone(x, t, z), unet(x, t).sample)
    True
    """

    def __init__(self, unet: Any, latent_dim: int, *, pretraining: Pretraining | None = None):
        super().__init__()
        kind = type(unet).__name__
        if kind not in UNETS:
            raise ValueError(f"unet must be one of {UNETS} of diffusers, got {kind}.")
        self.unet: Any = copy.deepcopy(unet)
        self.latent_dim = check_int(latent_dim, "latent_dim")
        if not isinstance(pretraining, (Pretraining, type(None))):
            raise TypeError(
                "pretraining must be None, or the pretraining of a backbone from "
                f"DiffusersBackbone.from_pretrained, got {short_repr(pretraining)}."
            )
        self.pretraining = pretraining
        config: Any = self.unet.config
        if config.class_embed_type is not None or config.num_class_embeds is not None:
            raise ValueError(
                "unet is conditional on classes, which dmzrep does not support. Use one without "
                "class_embed_type and num_class_embeds."
            )
        size = config.sample_size
        sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        self.data_shape = (config.in_channels, *sides)
        self.learns_variance = config.out_channels == 2 * config.in_channels
        self.n_timesteps = 1000 if pretraining is None or not pretraining.betas else len(pretraining.betas)
        self.code_input = "one_hot"
        self.conditional = kind == "UNet2DConditionModel"
        if self.conditional:
            self._check_context(config)
            return
        if config.time_embedding_type != "positional":
            raise ValueError(
                f"unet has time_embedding_type={config.time_embedding_type!r}; 'positional' is needed, which "
                "takes timesteps as DDPM's networks do."
            )
        _add_code_layers(self.unet, self.latent_dim)

    def _check_context(self, config: Any) -> None:
        width = config.cross_attention_dim
        if width not in (self.latent_dim, 2 * self.latent_dim):
            raise ValueError(
                f"unet has cross_attention_dim={width}, but {self.latent_dim} bits are one token of "
                f"{2 * self.latent_dim} columns (or {self.latent_dim}). Make the UNet with "
                f"cross_attention_dim={2 * self.latent_dim}."
            )
        if config.encoder_hid_dim is not None or config.addition_embed_type is not None:
            raise ValueError(
                "unet has encoder_hid_dim or addition_embed_type, for text and images, which dmzrep does not "
                "support. Use one without."
            )
        self.code_input = "signed" if width == self.latent_dim else "one_hot"

    @classmethod
    def from_pretrained(cls, folder: Any, latent_dim: int) -> DiffusersBackbone:
        """Read a UNet, and how it was trained, from a folder in the format of diffusers.

        Nothing is downloaded.

        Parameters
        ----------
        folder : path-like
            Folder written by `save_pretrained` of a pipeline (such as ``DDPMPipeline``) or of a UNet. The
            noise schedule and the kind of prediction are read from its scheduler's configuration, if any.
        latent_dim : int
            Number of bits; must equal `latent_dim` of the `DMZEncoder`.

        Returns
        -------
        DiffusersBackbone

        Raises
        ------
        ValueError
            The folder does not hold a supported UNet, or its scheduler is not for discrete
            variance-preserving diffusion.
        """
        folder = as_path(folder, "folder")
        inner = folder / "unet"
        inner = inner if (inner / "config.json").is_file() else folder
        if not (inner / "config.json").is_file():
            raise ValueError(
                f"{folder} has no config.json, nor one in unet/, as written by save_pretrained of diffusers. "
                "Download a model first and pass the path of its folder; names of models are not looked up."
            )
        kind = json.loads((inner / "config.json").read_text()).get("_class_name")
        if kind not in UNETS:
            raise ValueError(f"{inner} holds a {kind}; one of {UNETS} is needed.")
        import diffusers

        unet = getattr(diffusers, kind).from_pretrained(
            str(inner), local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
        )
        return cls(unet, latent_dim, pretraining=_read_pretraining(folder))

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Run the UNet.

        Parameters
        ----------
        x : Tensor of shape (n, channels, H, W)
            Noised images.
        t : Tensor of shape (n,)
            Timesteps on the scale [0, 1000).
        z : Tensor of shape (n, latent_dim)
            Bits or relaxed bits.

        Returns
        -------
        Tensor of shape (n, channels, H, W), or twice the channels

        Raises
        ------
        ValueError
            `z` is not of shape (n, latent_dim).
        """
        if z.shape != (len(x), self.latent_dim):
            raise ValueError(
                f"z must be of shape {(len(x), self.latent_dim)}, one code for each image, "
                f"got {tuple(z.shape)}."
            )
        if self.n_timesteps != 1000:
            t = t * (self.n_timesteps / 1000.0)
        if not self.conditional:
            return self.unet(x, t, class_labels=z, return_dict=False)[0]
        if self.code_input == "one_hot":
            # The features of a bit are adjacent, as in the authors' code.
            columns = torch.stack([1.0 - z, z], dim=2).flatten(1)
        else:
            columns = code_features(z, "signed")
        return self.unet(x, t, encoder_hidden_states=columns[:, None], return_dict=False)[0]


class _TimeColumns(nn.Module):
    """The timestep's embedding, zero-padded on the right for the code's features."""

    def __init__(self, embedding: nn.Module, columns: int):
        super().__init__()
        self.embedding, self.columns = embedding, columns

    def forward(self, features: Tensor) -> Tensor:
        return F.pad(self.embedding(features), (0, self.columns))


class _CodeColumns(nn.Module):
    """The code's features, zero-padded on the left for the timestep's embedding."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, z: Tensor) -> Tensor:
        return F.pad(code_features(z, "one_hot"), (self.width, 0))


class _TimeAndCode(nn.Module):
    """A residual block's projection of the timestep's embedding plus one of the code, initialised to zero."""

    def __init__(self, time: nn.Linear, columns: int):
        super().__init__()
        self.time, self.columns = time, columns
        self.code = zero_init(nn.Linear(columns, time.out_features, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        time, code = features.tensor_split([features.shape[1] - self.columns], dim=1)
        return self.time(time) + self.code(code)


def _add_code_layers(unet: Any, latent_dim: int) -> None:
    """Append the code's features to the timestep's embedding, and project them in every residual block.

    The blocks apply their activation to these features, too; as it maps zero to zero, a linear layer of the
    result is linear in the bits.
    """
    columns = 2 * latent_dim
    width = unet.time_embedding.linear_2.out_features
    blocks = [m for m in unet.modules() if isinstance(getattr(m, "time_emb_proj", None), nn.Linear)]
    if not blocks:
        raise ValueError(
            "unet has no residual blocks with a projection of the timestep, which the code needs."
        )
    for block in blocks:
        block.time_emb_proj = _TimeAndCode(block.time_emb_proj, columns)
    unet.time_embedding = _TimeColumns(unet.time_embedding, columns)
    unet.class_embedding = _CodeColumns(width)


def _read_pretraining(folder: Path) -> Pretraining:
    """Read how a network was trained from the configuration of its scheduler, if any."""
    files = [folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json"]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return Pretraining()
    settings = json.loads(file.read_text())
    kind = settings.get("_class_name")
    if "num_train_timesteps" not in settings or not {"beta_schedule", "trained_betas"} & set(settings):
        raise ValueError(
            f"{file} is of a {kind}, which is not for variance-preserving diffusion in discrete time. "
            "Use a model of DDPM's kind."
        )
    from diffusers import DDPMScheduler

    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    scheduler: Any = DDPMScheduler(**{name: settings[name] for name in names if name in settings})
    betas = scheduler.betas.double().numpy()
    if settings.get("rescale_betas_zero_snr") or not np.all((betas > 0.0) & (betas < 1.0)):
        raise ValueError(
            f"{file} has a noise schedule with zero terminal SNR, which dmzrep's samplers do not support."
        )
    prediction = settings.get("prediction_type", "epsilon")
    if prediction not in OBJECTIVES:
        raise ValueError(
            f"{file} has prediction_type={prediction!r}; one of {tuple(OBJECTIVES)} is possible."
        )
    return Pretraining(OBJECTIVES[prediction], tuple(betas.tolist()))
