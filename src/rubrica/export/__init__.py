"""A trained model made smaller, or written in another format."""
