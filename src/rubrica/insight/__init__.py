"""What is in data and in a model, what is wrong with them, and why a model answers as it does."""
