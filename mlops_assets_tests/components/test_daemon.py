"""Our daemon is Dagster's, which begins at the end of the event log without a word that nobody needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from mlops_assets.components import daemon
from mlops_assets.components.own_processes import run_to_its_end
from mlops_assets.components.private import InstanceRef
from mlops_assets.components.private_daemon import DAGSTER_EVENT_TYPES, cursor_key
from mlops_assets.settings import PACKAGE

KEYS = {cursor_key(kind) for kind in DAGSTER_EVENT_TYPES}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """That of a laptop, in which a run has failed."""
    shutil.copy(PACKAGE / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as found:

        @dg.job
        def breaks() -> None:
            @dg.op
            def now() -> None:
                raise dg.Failure("broken")

            now()

        assert not breaks.execute_in_process(instance=found, raise_on_error=False).success
        yield found


def test_what_failed_before_its_first_start_is_left_alone_without_a_warning(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.begin_at_the_end(instance)
    begun = instance.daemon_cursor_storage.get_cursor_values(KEYS)
    assert {*begun.values()} == {str(instance.event_log_storage.get_maximum_record_id())}
    context: Any = SimpleNamespace(instance=instance)
    assert [*EventLogConsumerDaemon().run_iteration(context)] == [None] * len(KEYS)  # no run is launched again
    assert caplog.records == []


def test_a_later_start_goes_on_where_the_last_one_was(instance: dg.DagsterInstance) -> None:
    instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(KEYS, "1"))
    daemon.begin_at_the_end(instance)
    assert instance.daemon_cursor_storage.get_cursor_values(KEYS) == dict.fromkeys(KEYS, "1")


def test_where_runs_are_not_tried_again_nothing_is_set(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as plain:
        daemon.begin_at_the_end(plain)
        assert plain.daemon_cursor_storage.get_cursor_values(KEYS) == {}


def test_it_takes_dagsters_options_and_wants_a_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("sys.argv", ["daemon", "--empty-workspace", "--log-level", "info"])
    assert run_to_its_end(daemon.command, "DAGSTER_DAEMON") == 2
    assert "DAGSTER_HOME is not set" in capsys.readouterr().err
