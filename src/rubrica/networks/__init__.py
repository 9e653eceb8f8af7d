"""The networks in torch, for training."""
