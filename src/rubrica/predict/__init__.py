"""A trained model that answers; needs no torch."""
