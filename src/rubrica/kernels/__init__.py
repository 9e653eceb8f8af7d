"""The arithmetic that decides how fast everything is, compiled in `native/`.

A function here takes and returns numpy arrays, and calls the native core through `border.py`. What an answer needs has
a numpy twin for machines without the core, and so has what trains a bag and a linear model; the tests hold the two
together. The derivatives of networks are in the core alone: without it torch trains them.
"""
