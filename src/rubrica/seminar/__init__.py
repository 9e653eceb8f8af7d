"""The seminar's five experiments, and the ladder out of them."""
