"""A row that was sent is explained as a row of a published day is."""

from __future__ import annotations

import pytest

from mlops_assets.journey.explain.sent import explain_sent
from mlops_assets.journey.score.online import Loaded, Sent, answer_files
from mlops_assets_tests.helpers.days import DAY
from mlops_assets_tests.helpers.one_row import BAD, Place, a_version, of_amounts, open_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A published day of eight files; a row of one of them is left out, for the SQL fails on it."""
    place = open_place(tmp_path_factory.mktemp("place"), 0.5)
    place.read("3,00", "1.000.000,00")
    place.score(a_version(place.folder / "version"))
    return place


@pytest.fixture(scope="module")
def loaded(place: Place) -> Loaded:
    return Loaded(place.use_case, 1, a_version(place.folder / "again").serving())


def test_the_same_row_is_told_the_same_by_both_ways(place: Place, loaded: Loaded) -> None:
    published = place.why(a_version(place.folder / "third"), BAD, 3)
    sent = explain_sent(loaded, Sent(BAD, of_amounts("3,00", "1.000.000,00")), 3, DAY)
    assert (sent.prediction, sent.probability) == (published.prediction, published.probability)
    assert sent.probabilities == published.probabilities
    assert (sent.raw, sent.cleaned) == (published.raw, published.cleaned)
    values = {feature.name: (feature.value, feature.unseen) for feature in published.features}
    assert {feature.name: (feature.value, feature.unseen) for feature in sent.features} == values


def test_it_is_what_was_answered(loaded: Loaded) -> None:
    file = Sent("a.csv", of_amounts("7,00"))
    (answered,) = answer_files(loaded, [file], DAY)
    for line, number, probability in zip(answered.line, answered.numbers, answered.sure["probability"], strict=True):
        why = explain_sent(loaded, file, int(line), DAY)
        assert (why.prediction, why.probability) == (loaded.model.classes[number], float(probability))


def test_rows_without_a_prediction_are_none_of_those_it_is_compared_with(loaded: Loaded) -> None:
    rows = len(of_amounts("3,00").splitlines()) - 1
    why = explain_sent(loaded, Sent("a.csv", of_amounts("3,00", "1.000.000,00")), 1, DAY)
    assert why.compared_with == rows - 1
