"""What is known of a version: read as it was written, by this release or one before, and written the same."""

from __future__ import annotations

import json

import pytest

from mlops_assets.journey.model.about import About, Condition, Summary
from mlops_assets.views import card
from mlops_assets_tests.helpers.models import ABOUT_FILE

TAG = (
    '{"candidate": "vote", "metrics": {"accuracy": 0.7632}, "rows_per_second": 639347, "passed": true, '
    '"reason": "vote passes", "training_set": "1d692404627ea978", "rows": 6126, "days": ["2026-01-01", "2026-01-04"], '
    '"sql": "3e7b7530741ad155", "contract": "d656eebcbd1340fe"}'
)
"""As that release wrote it into the registry."""


def test_a_file_of_before_is_written_again_byte_by_byte() -> None:
    content = ABOUT_FILE.read_bytes()
    assert About.from_json(content).to_json().encode() == content


def test_its_fields_are_what_the_file_says() -> None:
    about = About.from_json(ABOUT_FILE.read_bytes())
    assert (about.use_case, about.candidate, about.passed, about.origin) == ("topics", "linear", True, None)
    assert isinstance(about.conditions[0], Condition)
    assert about.labels == tuple(json.loads(ABOUT_FILE.read_text())["set"]["classes"])
    assert "# topics: linear, version 1" in card.render(about, 1)


def test_the_tag_of_before_is_written_again_byte_by_byte() -> None:
    summary = Summary.from_json(TAG)
    assert (summary.candidate, summary.metrics["accuracy"], summary.passed) == ("vote", 0.7632, True)
    assert summary.to_json() == TAG


def test_the_summary_is_short_of_the_file() -> None:
    about = About.from_json(ABOUT_FILE.read_bytes())
    assert {**json.loads(about.to_json()), **json.loads(about.summary().to_json())} == json.loads(about.to_json())


def test_a_release_that_knew_no_models_from_elsewhere_can_be_read() -> None:
    known = json.loads(ABOUT_FILE.read_text())
    del known["origin"]
    assert About.from_json(json.dumps(known)) == About.from_json(ABOUT_FILE.read_bytes())


def test_what_a_later_release_tells_besides_is_passed_over() -> None:
    known = json.loads(ABOUT_FILE.read_text()) | {"colour": "blue"}
    assert About.from_json(json.dumps(known)) == About.from_json(ABOUT_FILE.read_bytes())
    assert Summary.from_json('{"colour": "blue"}') == Summary.from_json("{}") == Summary()


@pytest.mark.parametrize(("content", "problem"), [("{}", "it does not say use_case, candidate"), ("[", "Expecting")])
def test_a_file_that_is_not_complete_is_refused(content: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        About.from_json(content)
