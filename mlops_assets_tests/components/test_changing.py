"""The champion is changed by a run: by the code of the commands, in the name of who asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlops_assets_tests.helpers.stage import Stage, small

NAME = "transactions"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.of(small(), tmp_path_factory.mktemp("home")) as stage:
        yield stage


@pytest.mark.parametrize(
    ("job", "op", "config", "said"),
    [
        ("promote", "promote_version", {"version": 3, "why": "x", "who": "ann (API)"}, "There is no version 3 of"),
        ("rollback", "roll_back", {"why": "x"}, "There is no champion before this one to go back to"),
    ],
)
def test_what_is_wrong_fails_the_run_with_its_sentence_alone(
    stage: Stage, job: str, op: str, config: dict[str, object], said: str
) -> None:
    with stage.settings():
        done = stage.definitions.resolve_job_def(f"{NAME}_{job}").execute_in_process(
            run_config={"ops": {f"{NAME}_{op}": {"config": config}}}, instance=stage.instance, raise_on_error=False
        )
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description.startswith(said)
