"""The scorer of a model: what its fitted estimator says, by arrays alone. scikit-learn fits; this scores.

`compiled` makes one of an estimator whose parts are all known, and compares it to the bit with what scikit-learn says
of odd rows; `stored` writes it beside the archive and reads it again, so a process that scores imports no scikit-learn.
"""
