"""In: an estimator that was made of a file. Out: no change, or what in it is not as scikit-learn writes it.

An allow-list of types stops code. It does not stop a tree whose child lies beyond the array, which the compiled code of
scikit-learn follows without looking: the process crashes or never ends. So each type has a rule, or is refused.
"""
