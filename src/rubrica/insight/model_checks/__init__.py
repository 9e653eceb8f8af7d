"""What can be wrong with a trained model: one file a theme, and in each the checks that measure it on texts."""
