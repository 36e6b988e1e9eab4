"""Files: a codec for nested state and a container for arrays and JSON values, written atomically."""
