"""The README.md of a model folder: what the model is, what it scored, how it is used."""

from typing import Any

from rubrica.config.settings import Config
from rubrica.scoring.metrics import headline


def model_card(
    config: Config,
    labels: list[str],
    metrics: dict[str, Any],
    *,
    num_words: int,
    num_features: int,
    vectors: str | None,
    storage: str,
    several: bool = False,
) -> str:
    """The text of the card.

    Args:
        config: The settings of the training.
        labels: The class names.
        metrics: Its scores: those on test are shown, else those on validation.
        num_words: Words that a network knows.
        num_features: Features that a linear model knows.
        vectors: Where the word vectors came from.
        storage: What the tables are stored as.
        several: Whether a text may have several labels.
    """
    where = "test" if "test" in metrics else "validation"
    size = " ".join(
        _describe_linear(config, num_features) if part == "linear" else _describe_network(config, num_words, vectors)
        for part in config.model.parts
    )
    case = "Texts are lower-cased." if config.data.lowercase else "Case is kept."
    if config.data.lowercase and config.model.keep_case and "linear" in config.model.parts:
        case = "The linear model keeps capitals" + (", the network does not." if len(config.model.parts) > 1 else ".")
    stored = "" if storage == "float32" else f"\nStored as {storage}.\n"
    if storage != config.training.storage:
        stored += "\nThe scores are those of the model before it was made smaller.\n"
    return (
        "---\nlibrary_name: rubrica\npipeline_tag: text-classification\n---\n\n"
        f"# {' and '.join(config.model.parts)} text classifier\n\n"
        f"Classes{', several of a text' if several else ''}: {', '.join(labels)}.\n\n"
        f"{_describe_scores(metrics.get(where) or {}, where)}\n"
        f"{size} {case} Seed {config.training.seed}.\n{stored}\n"
        '```python\nimport rubrica\nmodel = rubrica.load("this-folder")\nmodel.predict(["a text"])\n```\n'
    )


def _describe_scores(scores: dict[str, Any], where: str) -> str:
    if not scores:
        return "It was saved without a test or validation split, so there are no scores.\n"
    rows = "".join(
        f"| {row['label']} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['texts']} |\n"
        for row in scores["per_class"]
    )
    return (
        f"On {scores['texts']} {where} texts: {headline(scores)}.\n\n"
        f"| class | precision | recall | F1 | texts |\n|---|---|---|---|---|\n{rows}"
    )


def _describe_network(config: Config, num_words: int, vectors: str | None) -> str:
    model, data = config.model, config.data
    padding = (
        "A text's score does not depend on the texts beside it."
        if model.mask_padding
        else "Padding is read as words: a text's score depends on the longest text of its batch."
    )
    return (
        f"{num_words} words, {model.embedding_dim} numbers each (vectors: {vectors or 'none, learned from the texts'});"
        f" {model.hidden_size} hidden units; {config.training.epochs} epochs at most; {data.max_length} tokens of a"
        f" text at most. {padding}"
    )


def _describe_linear(config: Config, num_features: int) -> str:
    model = config.model
    runs = f"runs of 1 to {model.word_ngrams} words" + (
        f" and of 2 to {model.char_ngrams} characters inside a word" if model.char_ngrams > 1 else ""
    )
    return f"{num_features} weighed features of a text: {runs}; cost {model.cost:g}."
