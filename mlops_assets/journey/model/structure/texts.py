"""Vectorizers: which file they would open, how long their pattern may take, where their vocabulary leads."""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.structure.parts import Part, Rule, rules

PATTERNS = (
    r"(?u)\b\w\w+\b",
    r"(?u)\b\w+\b",
    r"(?u)\w+",
    r"\b\w\w+\b",
    r"\b\w+\b",
    r"\w+",
    r"\w\w+",
    r"\S+",
    r"(?u)\S+",
    r"[^\s]+",
    r"[a-z]+",
    r"[a-zA-Z]+",
    r"[A-Za-z]+",
    r"[a-z0-9]+",
    r"[a-zA-Z0-9]+",
    r"[A-Za-z0-9]+",
    r"\b[a-z]+\b",
    r"\b[a-zA-Z]+\b",
    r"\b[a-zA-Z]{2,}\b",
    r"\b[a-zA-Z]{3,}\b",
    r"(?u)\b[a-zA-Z]+\b",
    r"(?u)\b[a-zA-Z]{2,}\b",
    r"(?u)\b[a-zA-Z]{3,}\b",
    r"(?u)\b\w{2,}\b",
    r"(?u)\b\w{3,}\b",
    r"\b\w{2,}\b",
    r"\b\w{3,}\b",
)
"""Patterns of a token: each takes time in the length of the text. Of any other nobody can say how long it takes."""

ENCODINGS = ("utf-8", "utf8", "latin-1", "latin1", "iso-8859-1", "cp1252", "ascii")
LONGEST_GRAM = 20
MOST_HASHES = 1 << 22


def _plain_words(part: Part) -> None:
    """Parameters of every vectorizer: it is handed texts, and no function of anybody is called."""
    # by `filename` or `file` it would open what a row says
    part.choice("input", ("content",))
    part.choice("encoding", ENCODINGS)
    part.choice("decode_error", ("strict", "ignore", "replace"))
    part.choice("strip_accents", (None, "ascii", "unicode"))
    part.choice("lowercase", (False, True))
    part.choice("analyzer", ("word", "char", "char_wb"))
    for name in ("preprocessor", "tokenizer"):
        part.need(part.get(name) is None, f"{name} is a function, which may do anything: prepare texts in features.sql")
    pattern = part.get("token_pattern")
    if pattern is not None and pattern not in PATTERNS:
        part.refuse(
            f"token_pattern {pattern!r:.200} is none of those that are known to end in time: {', '.join(PATTERNS)}"
        )
    words = part.get("stop_words")
    part.need(
        words is None or words == "english" or (isinstance(words, (list, set, frozenset, tuple)) and _texts(words)),
        "stop_words are no list of words",
    )
    grams = part.get("ngram_range")
    part.need(
        isinstance(grams, (tuple, list))
        and len(grams) == 2
        and all(type(length) is int for length in grams)
        and 1 <= grams[0] <= grams[1] <= LONGEST_GRAM,
        f"ngram_range is {grams!r:.80}, expected two numbers from 1 to {LONGEST_GRAM}",
    )


def _texts(words: object) -> bool:
    return all(type(word) is str for word in words)  # type: ignore[attr-defined]


def _vocabulary(part: Part) -> int:
    _plain_words(part)
    words = part.get("vocabulary_")
    part.need(isinstance(words, dict) and words and _texts(words), "vocabulary_ is no table of words")
    columns = list(words.values())
    part.need(
        all(type(column) is int or isinstance(column, np.integer) for column in columns), "vocabulary_ has no columns"
    )
    # each word has a column of its own: these numbers become indices of a sparse matrix
    numbers = sorted(columns)
    if numbers != list(range(len(numbers))):
        part.refuse(f"vocabulary_ has {len(numbers)} words, in columns {numbers[0]} to {numbers[-1]}, or two in one")
    _numbers_of(part)
    return len(numbers)


def _numbers_of(part: Part) -> None:
    kind = part.get("dtype")
    part.need(isinstance(kind, (type, np.dtype)) and np.dtype(kind).kind in "fiu", f"dtype is {kind!r:.80}")


def _weighted_vocabulary(part: Part) -> int:
    columns = _vocabulary(part)
    weights = part.get("_tfidf")
    part.need(type(weights).__name__ == "TfidfTransformer", "_tfidf is none")
    part.child(weights, "_tfidf", columns)
    return columns


def _weights(part: Part) -> int | None:
    part.choice("norm", ("l1", "l2", None))
    if not part.choice("use_idf", (False, True)):
        return part.columns
    features = part.features()
    part.array("idf_", features)
    return features


def _hashes(part: Part) -> int:
    _plain_words(part)
    _numbers_of(part)
    part.choice("norm", ("l1", "l2", None))
    return part.whole("n_features", 1, MOST_HASHES)


MODULE = "sklearn.feature_extraction.text"

RULES: dict[str, Rule] = {
    **rules(MODULE, _vocabulary, "CountVectorizer"),
    **rules(MODULE, _weighted_vocabulary, "TfidfVectorizer"),
    **rules(MODULE, _weights, "TfidfTransformer"),
    **rules(MODULE, _hashes, "HashingVectorizer"),
}
