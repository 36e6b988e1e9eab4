"""Diffusion: schedules, objectives, samplers, likelihood. It knows no network."""
