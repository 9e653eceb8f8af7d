"""Texts to tokens, n-grams and ids."""
