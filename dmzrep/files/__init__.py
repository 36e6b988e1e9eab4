"""Files: a codec of nested state and a container of arrays and JSON values, written atomically."""
