"""Texts and labels from files, folders, the Hugging Face hub and the built-in corpus."""
