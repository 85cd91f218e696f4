"""Where published predictions go: one small class for each kind of target."""

from __future__ import annotations

from mlops_assets.journey.deliver.targets.files import FilesTarget
from mlops_assets.journey.deliver.targets.kafka import KafkaTarget
from mlops_assets.journey.deliver.targets.notice import NoticeTarget
from mlops_assets.journey.deliver.targets.redshift import RedshiftTarget
from mlops_assets.journey.deliver.targets.sql import SqlTarget
from mlops_assets.plugins import load_plugin
from mlops_assets.plugins.targets import Target
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase, targets
from mlops_assets.use_case.targets import TARGETS


def open_target(use_case: UseCase, name: str, settings: Settings) -> Target:
    """A target of a use case.

    Parameters
    ----------
    use_case
        Has the target in its configuration.
    name
        The target's name there.
    settings
        Say where the raw files lie, which no target may overwrite.

    Raises
    ------
    ConfigError
        If a class of a user's own cannot be made.
    """
    given = use_case.targets[name]
    if given.use not in TARGETS:
        return load_plugin(given.use, Target, given.parameters)
    parameters = TARGETS[given.use].model_validate(given.parameters)
    if isinstance(parameters, targets.SqlTarget):
        return SqlTarget(parameters)
    if isinstance(parameters, targets.RedshiftTarget):
        return RedshiftTarget(parameters)
    if isinstance(parameters, targets.KafkaTarget):
        return KafkaTarget(parameters)
    if isinstance(parameters, targets.NoticeTarget):
        return NoticeTarget(parameters)
    assert isinstance(parameters, targets.FilesTarget), "all others were seen to above"  # noqa: S101
    return FilesTarget(parameters, use_case.files.suffix, settings.raw)
