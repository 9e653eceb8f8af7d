"""The five recipes against the seminar's code, transcribed literally and sharing nothing with ours.

Same start, same order of the texts: the loss of each of 50 updates in float64 must be the same.
"""

import numpy as np
import pytest
import torch

from literal import LITERAL, literal_ids, literal_losses
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import Dataset, Examples
from rubrica.learning.job import Job
from rubrica.learning.loop import fit
from rubrica.learning.network import initial_table
from rubrica.learning.seeds import seed_everything
from rubrica.models.config import load_recipe
from rubrica.networks.networks import build_network
from rubrica.scoring.tasks import task_of
from rubrica.vectors.word_vectors import Vectors
from settings import changed

UPDATES = 50
HIDDEN = 7
CLASSES = ["World", "Sports", "Business", "Sci/Tech"]


def make_news(draw, count):
    words = [f"w{i}" for i in range(90)] + ["Capital", "unk", "don't", "3.5%", "café", "—"]
    texts, labels = [], []
    for _ in range(count):
        # One text in a hundred is longer than the 128 tokens that are kept, one in ten is a single word.
        length = int(draw.choice([1, 5, 12, 30, 150], p=[0.1, 0.3, 0.49, 0.1, 0.01]))
        texts.append(" ".join(draw.choice(words, length)))
        labels.append(CLASSES[int(draw.integers(4))])
    return Examples(texts, labels)


@pytest.fixture(scope="module", params=["with unk", "without unk"])
def world(request):
    """Texts, and vectors of 300 words of which the texts use a third."""
    draw = np.random.default_rng(3)
    train = make_news(draw, UPDATES * 32 - 5)
    dataset = Dataset(
        "made up", {"train": train, "test": make_news(draw, 40)}, ("text",), "label", task_of(CLASSES, lists=False)
    )
    words = ["<user>"] + [f"w{i}" for i in range(60, 330)] + [".", "don", "'", "t"]
    if request.param == "with unk":
        words.insert(100, "unk")
    matrix = draw.normal(size=(len(words), 5)).astype(np.float32)
    return dataset, Vectors(words, matrix, "made up")


@pytest.mark.parametrize("name", LITERAL)
def test_recipe_equals_the_transcription_in_the_loss_of_every_update(world, name):
    dataset, vectors = world
    settings = ["model.hidden_size=7", f"model.embedding_dim={vectors.dim}"]
    if name == "gru-frozen":
        assert load_recipe("seminar-gru-frozen").training.freeze_steps == 1001
        settings.append("training.freeze_steps=21")  # thaws inside the 50 updates
    recipe = changed(load_recipe(f"seminar-{name}"), settings)
    corpus = build_corpus(dataset, vectors, recipe.data)
    assert len(corpus.rows) < corpus.table_size / 2
    seed_everything(recipe.training.seed)
    start = initial_table(Job(corpus, recipe, np.arange(1), vectors)).double()
    ours = build_network(recipe.model, start, len(CLASSES))
    # The rows that no text uses may hold any numbers, since they must not matter.
    table = torch.randn(corpus.table_size, vectors.dim, dtype=torch.double)
    table[torch.from_numpy(corpus.rows)] = start
    literal = LITERAL[name][0](table, HIDDEN).double()
    literal.copy_start(table, ours)
    rows = np.arange(len(dataset.splits["train"].texts))
    order = np.random.default_rng([recipe.training.seed, 0]).permutation(rows)
    train = dataset.splits["train"]
    texts, targets = literal_ids(train.texts, vectors.words), [CLASSES.index(label) for label in train.labels]
    last_frozen = 20 if name == "gru-frozen" else None
    expected = literal_losses(name, literal, texts, targets, order, last_frozen)
    got = fit(ours, Job(corpus, recipe, rows, vectors)).losses
    assert len(got) == len(expected) == UPDATES
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert np.ptp(expected) > 1e-3  # it does learn, so equality means something


@pytest.mark.parametrize("name", ["gru-vectors", "gru-frozen"])
def test_pretrained_recipes_start_at_the_vectors_and_unknown_words_at_their_place(world, name):
    dataset, vectors = world
    recipe = load_recipe(f"seminar-{name}")
    corpus = build_corpus(dataset, vectors, recipe.data)
    table = initial_table(Job(corpus, recipe, np.arange(1), vectors))
    expected = vectors.matrix if "unk" in vectors.words else np.vstack([vectors.matrix, vectors.matrix.mean(0)])
    np.testing.assert_allclose(table.numpy(), expected[corpus.rows], rtol=1e-6)
    place = vectors.words.index("unk") if "unk" in vectors.words else len(vectors.words)
    assert corpus.rows[corpus.vocab.unknown_id] == place
    assert corpus.rows[0] == 0
