"""What must be true in every snapshot; tests, stress runs and ``anzol doctor`` watch it."""
