"""Training windows of the zero-shot model: real sources, artificial families, augmentation, and the pool on disk."""
