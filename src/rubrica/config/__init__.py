"""Settings: what they mean, their bounds, and the recipes that the package brings."""
