"""The arithmetic that decides how fast everything is: each kernel compiled (`native/`), and once more in numpy.

A function here takes and returns numpy arrays, runs the native core where it is there (`native.py`) and its numpy
twin where not; the tests hold the two together.
"""
