"""Training: from numbered texts to a scored model."""
