"""Why a model answers what it answers: what each token of a text adds to a score."""
