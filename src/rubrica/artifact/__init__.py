"""The model folder: written whole or not at all, and checked before it is trusted."""
