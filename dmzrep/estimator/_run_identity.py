"""Identification of training runs, so that they can be resumed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from typing import Any

import numpy as np
from torch import nn

from dmzrep._base._batching import batches
from dmzrep.data import ImageFormat, Source, VectorFormat, is_on_disk
from dmzrep.networks._custom_backbone import describe_module
from dmzrep.networks._custom_encoder import describe_extractor

#: Parameters that may change when a run is resumed.
CHANGEABLE = {
    *("max_iter", "max_time", "micro_batch_size", "output", "prior", "device", "compile", "verbose"),
    *("distributed", "warm_start", "random_state", "checkpoint_dir", "checkpoint_every", "checkpoint_keep"),
    "image_reader",  # The pictures are hashed.
}
#: Largest size in bytes of an array in memory that is hashed completely, and number of evenly spaced samples
#: that are hashed of other sources.
HASHED_BYTES, HASHED_SAMPLES = 4 * 2**30, 4096
_BLOCK_BYTES = 2**26


def run_identity(
    params: dict[str, Any], samples: Source, data_format: ImageFormat | VectorFormat, seed: int | None
) -> dict[str, Any]:
    """Return JSON values that are equal for runs of which one can resume the other."""
    identity = {name: _plain(value) for name, value in params.items() if name not in CHANGEABLE}
    if "encoder" in params:  # Unlike _plain, this covers the fitted attributes of a transformer.
        identity["encoder"] = describe_extractor(params["encoder"])
    identity |= {
        "data": data_digest(samples),
        "data_format": {
            field.name: _plain(getattr(data_format, field.name)) for field in fields(data_format)
        },
        "seed": seed,
    }
    return json.loads(json.dumps(identity))


def data_digest(samples: Source) -> str:
    """Return a hash of samples, their shape and dtype; see `HASHED_BYTES`."""
    n, size = len(samples), math.prod(samples.shape[1:]) * samples.dtype.itemsize
    in_memory = isinstance(samples, np.ndarray) and not is_on_disk(samples)
    complete = in_memory and n * size <= HASHED_BYTES
    chosen = np.arange(n) if complete else np.unique(np.linspace(0, n - 1, HASHED_SAMPLES).astype(np.int64))
    digest = hashlib.blake2b(f"{tuple(samples.shape)} {samples.dtype.str}".encode(), digest_size=16)
    for part in batches(len(chosen), max(1, _BLOCK_BYTES // max(1, size))):
        block = samples[part] if complete else samples[chosen[part]]
        digest.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Convert a parameter to JSON values."""
    if isinstance(value, nn.Module):
        return describe_module(value)
    if isinstance(value, np.ndarray):
        return data_digest(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        return {name: _plain(part) for name, part in params.items() if name not in CHANGEABLE}
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
