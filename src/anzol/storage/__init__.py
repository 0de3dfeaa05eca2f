"""Storage: a face, and the engines behind it."""
