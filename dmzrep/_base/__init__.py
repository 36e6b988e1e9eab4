"""Ground of all packages: validation, randomness, devices and batches."""
