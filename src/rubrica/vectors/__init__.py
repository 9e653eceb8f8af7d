"""Word vectors: formats, published ones, and words that they lack."""
