"""Configurations of DMZEncoder that benchmarks compare: parameters that differ from the defaults, by name."""

from __future__ import annotations

from typing import Any

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "conditioning bias": {"conditioning": "bias"},
    "conditioning adagn": {"conditioning": "adagn"},
    "conditioning with the timestep": {"conditioning": "timestep"},
    "cross-attention": {"conditioning": "cross_attention"},
    "straight-through": {"straight_through": True},
    "input perturbation 0.1": {"input_perturbation": 0.1},
    "objective epsilon": {"objective": "epsilon"},
    "objective sample": {"objective": "sample"},
    **{f"{n} bits": {"latent_dim": n} for n in (8, 16, 32, 128, 256)},
}
