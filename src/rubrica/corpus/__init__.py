"""A data set in numbers: ids, targets, and the part of train that is held out."""
