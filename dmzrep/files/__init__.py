"""Files: one codec of nested state, one container for arrays and JSON values, written whole or not at all."""
