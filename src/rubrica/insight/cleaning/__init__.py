"""Rows that harm a data set, a file to review them in, and the data without them."""
