"""Files: one container for arrays and plain values."""
