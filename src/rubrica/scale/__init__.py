"""Work on many machines, by Ray: answers to many texts, a training on another machine."""
