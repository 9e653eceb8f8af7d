"""Ctrl-C at a chosen place."""


def interrupt(monkeypatch, place, name, *, call=1):
    """Ctrl-C in a call of the function `name` of a module or class; returns the numbers of the calls so far."""
    original, calls = getattr(place, name), []

    def impatient(*args, **settings):
        calls.append(len(calls) + 1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **settings)

    monkeypatch.setattr(place, name, impatient)
    return calls


def interrupt_training(monkeypatch, place, title):
    """Ctrl-C in the first training by `place.train_corpus` with this title."""
    original = place.train_corpus

    def impatient(*args, **settings):
        artifact = original(*args, **settings)
        artifact.metrics["interrupted"] = settings["title"] == title
        return artifact

    monkeypatch.setattr(place, "train_corpus", impatient)
