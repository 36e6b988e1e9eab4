"""Reading of checkpoints of the paper's authors as fitted encoders."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from dmzrep._base._validation import as_path
from dmzrep.errors import PersistenceError
from dmzrep.estimator._attributes import code_attributes, decoder_attributes
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._inputs import open_samples
from dmzrep.estimator._parameters import all_parameters, nested_names, validate_parameters
from dmzrep.estimator._resolve import resolve_network, resolve_objective
from dmzrep.inference import Decoder, calibrate
from dmzrep.networks._device import resolve_device
from dmzrep.networks._model import DiffusionAutoencoder, place
from dmzrep.networks._paper_backbone import paper_backbone

#: Recipes by the side of the images, which is 2 ** (number of convolutions of the encoder + 1).
RECIPES = {32: "cifar10", 64: "celeba64"}
#: Samples at each timestep for the calibration.
CALIBRATION_SAMPLES = 4


def load_authors_checkpoint(
    path: str | os.PathLike, X: Any, *, heads: int | None = None, **params: Any
) -> DMZEncoder:
    """Read a checkpoint of the authors' code as a fitted encoder.

    Parameters
    ----------
    path : path-like
        ``ema_*.pt`` (preferable) or ``model*.pt`` from their training script: a dictionary of tensors saved
        by ``torch.save``. No code from the file is run.
    X : array-like or map-style dataset
        Some of the training images, for instance 10,000: they determine layout and value range, and the code
        report and the prior are computed from them.
    heads : int or None, default=None
        Number of attention heads, which the file does not contain; None takes that of the authors' commands:
        32 for images of 32 pixels, 64 for images of 64.
    **params
        Parameters of `DMZEncoder` that override the recipe's, such as `output`, `prior`, `device`, and
        `input_perturbation`, which the file does not contain either (0.15 for images of 32 pixels, else 0.1).

    Returns
    -------
    DMZEncoder
        Fitted, with an empty `history_`. Its `backbone` has the weights of the denoiser, from which `fit`
        starts.

    Raises
    ------
    PersistenceError
        The file is not such a checkpoint, or its model has no code or was fine-tuned from a public DDPM.
    ValueError
        X does not hold images of the model's shape.

    See Also
    --------
    paper_backbone : The same denoiser with random weights.

    Notes
    -----
    Written from the authors' code, ``dmz/models.py`` and ``ddpm_train.py`` of github.com/exlab-research/dmz,
    and tested on files made in that layout. It assumes that names begin with ``encoder.`` and ``unet.``, that
    the two logits of a bit, like the two inputs of the denoiser for it, are adjacent, zero first, and that
    the noise schedule is cosine with 1,000 timesteps.
    """
    state = _read(as_path(path, "path"))
    shapes = _infer_shapes(state, path)
    name = RECIPES[shapes["side"]]
    backbone = paper_backbone(name, heads=heads, dropout=0.0, **shapes)
    known = {key: shapes[key] for key in ("latent_dim", "learn_variance")}
    settings = nested_names(known | {"encoder_width": len(state["encoder.layers.0.0.weight"])})
    encoder = DMZEncoder.paper(name, backbone=backbone, **(settings | params))
    validate_parameters(encoder)
    samples, data_format, attributes = open_samples(encoder, X, False)
    expected = (shapes["n_channels"], shapes["side"], shapes["side"])
    if data_format.shape != expected:
        raise ValueError(
            f"X must hold images of {expected} (channels, height, width), which the model in {path} expects, "
            f"got {data_format.shape}."
        )
    values = all_parameters(encoder)
    network = resolve_network(values, data_format)
    model = DiffusionAutoencoder(network, backbone)
    try:
        model.load_state_dict(_convert(state))
    except RuntimeError as error:
        raise PersistenceError(
            f"{path} does not hold the weights of the network that their shapes suggest: {error}."
        ) from error
    # Changes of the fitted model must not affect the parameter `backbone`.
    model = copy.deepcopy(model)
    device = resolve_device(encoder.device)
    place(model.eval().requires_grad_(False), device)
    objective = resolve_objective(values, data_format, network)
    history = pd.DataFrame()
    decoder = Decoder(model, objective, data_format, device)
    results = {"history_": history, "n_iter_": 0, "stopped_": "loaded", "init_": "random"}
    results |= {"precision_": "float32", "encoder_augment_": None, "init_filters_": 64, "ordered_": False}
    described = code_attributes(encoder.prior, decoder, samples, history, 0)
    # Few samples, since the authors' networks are slow on a CPU.
    described["calibration_"] = calibrate(decoder, samples, 0, n_samples=CALIBRATION_SAMPLES)
    encoder.__dict__.update(decoder_attributes(decoder) | results | described | attributes)
    return encoder


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # The unpickler raises various exceptions for other files.
        raise PersistenceError(f"{path} is not a file of tensors that torch.save wrote: {error}.") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PersistenceError(
            f"{path} is not a checkpoint of the authors' code: it holds more than tensors by name. "
            "Pass ema_*.pt or model*.pt, not opt*.pt."
        )
    return state


def _infer_shapes(state: dict[str, Tensor], path: str | os.PathLike) -> dict[str, Any]:
    """Return arguments of `paper_backbone`, from the names and shapes of the weights."""
    refusal = f"{path} is not a checkpoint of the authors' code: "
    if "unet.conv_in.weight" not in state:
        raise PersistenceError(refusal + "it has no unet.conv_in.weight.")
    if "encoder.proj.weight" not in state:
        raise PersistenceError(f"{path} holds a model without an encoder, and so without codes.")
    n_convolutions = _count(state, r"encoder\.layers\.(\d+)\.")
    side = 2 ** (n_convolutions + 1)
    n_levels = _count(state, r"unet\.down_blocks\.(\d+)\.")
    width = state["unet.conv_in.weight"].shape[0]
    projection = state.get("unet.down_blocks.0.resnets.0.time_emb_proj.weight")
    mid = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    if side not in RECIPES or projection is None or len(projection) != 2 * width or mid not in state:
        raise PersistenceError(
            f"{path} holds another kind of network than the authors' for images of {sorted(RECIPES)} pixels, "
            "such as one fine-tuned from a public DDPM, or one that adds the code to the timestep embedding."
        )
    latent_dim = len(state["encoder.proj.weight"]) // 2
    if state[mid].shape[1] != 2 * latent_dim:
        raise PersistenceError(refusal + "its cross-attention does not have the size of its code.")
    n_channels = state["unet.conv_in.weight"].shape[1]
    return {
        "side": side,
        "n_channels": n_channels,
        "latent_dim": latent_dim,
        "width": tuple(len(state[f"unet.down_blocks.{i}.resnets.0.conv1.weight"]) for i in range(n_levels)),
        "depth": _count(state, r"unet\.down_blocks\.0\.resnets\.(\d+)\."),
        "attention_kinds": tuple(_attention_kind(state, level) for level in range(n_levels)),
        "learn_variance": len(state["unet.conv_out.weight"]) == 2 * n_channels,
    }


def _count(state: dict[str, Tensor], pattern: str) -> int:
    found = [int(match.group(1)) for match in (re.match(pattern, name) for name in state) if match]
    return max(found, default=-1) + 1


def _attention_kind(state: dict[str, Tensor], level: int) -> str:
    names = [name for name in state if name.startswith(f"unet.down_blocks.{level}.attentions.")]
    if not names:
        return "none"
    return "cross" if any(".transformer_blocks." in name for name in names) else "self"


def _convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the authors' weights with the names and in the order of dmzrep's networks."""
    converted = {}
    for name, value in state.items():
        if name.startswith("unet."):
            converted["denoiser." + name] = value
            continue
        match = re.match(r"encoder\.layers\.(\d+)\.(\d+)\.(.*)", name)
        if match:
            layer, part, rest = match.groups()
            converted[f"encoder.convolutions.{3 * int(layer) + int(part)}.{rest}"] = value
        elif name.startswith("encoder.proj."):
            # Their two logits of a bit are adjacent; dmzrep has those for zero of all bits first.
            kind = name.removeprefix("encoder.proj.")
            converted[f"encoder.head.linear.{kind}"] = torch.cat([value[0::2], value[1::2]])
        else:
            converted[name] = value
    return {name: value.float() if value.is_floating_point() else value for name, value in converted.items()}
