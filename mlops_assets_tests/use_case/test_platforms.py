"""What a use case says of a platform: each mistake by file, line and key, before anything is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers.visits import VISITS, place_visits

BUNDLE = f"s3://bank/mlops-assets-{'0' * 64}.tar.gz"
SCALE = """\
  scale:
    engine: pipes
    client:
"""


@pytest.mark.parametrize(
    ("client", "key", "told"),
    [
        ("kind: ecx", "scale.client", "there is no such `kind`; known: 'subprocess', "),
        ("cluster: a", "scale.client", "there is no such `kind`"),
        ("kind: emr\n      bundle: s3://bank/x.zip", "scale.client.bundle", "String should match pattern"),
        (f"kind: emr\n      bundle: {BUNDLE}", "scale.client", "name one of `cluster_id` and `cluster`"),
        (f"kind: emr\n      bundle: {BUNDLE}\n      engine: local", "scale.client.engine", "Input should be 'spark'"),
        ("kind: glue\n      job: days\n      minute: 1", "scale.client.minute", "this key is not known here"),
        (
            f"kind: glue\n      job: days\n      bundle: {BUNDLE}\n      secrets: {{TULIP: password}}",
            "scale.client.secrets.TULIP",
            "String should match pattern",
        ),
        ("kind: kubernetes\n      image: i\n      memory: much", "scale.client.memory", "String should match pattern"),
        ("kind: ecs\n      cluster: a\n      task: b\n      subnets: []", "scale.client.subnets", "at least 1 item"),
    ],
    ids=["kind", "none", "bundle", "cluster", "engine", "misspelt", "secret", "memory", "subnets"],
)
def test_a_mistake_is_told_by_file_line_and_key(client: str, key: str, told: str, tmp_path: Path) -> None:
    text = VISITS + SCALE + f"      {client}\n"
    with pytest.raises(ConfigError) as error:
        load_use_case(place_visits(tmp_path, text) / "visits")
    lines = [line for line in str(error.value).splitlines() if f" {key}: " in line]
    assert len(lines) == 1, error.value
    assert told in lines[0]
    number = int(lines[0].split(":")[1])
    last = text.splitlines()[number - 1].strip().split(":")[0]
    # a key that is not there is told by the line of what it belongs to
    assert last in {key.rpartition(".")[2], "secrets"}
