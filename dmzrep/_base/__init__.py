"""Foundations of all packages: validation, randomness, isolation from global settings, batching."""
