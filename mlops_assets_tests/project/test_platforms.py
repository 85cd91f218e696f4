"""The page of platforms: its examples are read by our own loader, and its policies allow what is called and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import boto3
import pytest
import yaml
from pydantic import TypeAdapter

from mlops_assets.components import aws
from mlops_assets.use_case.clients import CLIENTS, Client
from mlops_assets_tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
POLICIES = sorted((ROOT / "deploy" / "policies").glob("*.json"))
FILLED = {
    "BUNDLE": f"s3://bank/bundles/mlops-assets-{'0' * 64}.tar.gz",
    "ROLE": "arn:aws:iam::123456789012:role/job",
    "SECRET": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-1",
}
SERVICES = {"emr": "elasticmapreduce"}
"""Prefixes of actions that are not the name of the service."""
BESIDES = {"iam:PassRole"}
"""What is allowed and never called: it lets a call name a role."""


def test_the_examples_of_the_page_are_read_and_there_is_one_of_each_kind() -> None:
    (text,) = re.findall(r"```yaml\n(- \{kind.*?)```", PAGE, re.S)
    for name, value in FILLED.items():
        text = re.sub(rf"\b{name}\b(?!_)", value, text)
    read = TypeAdapter(list[Client]).validate_python(yaml.safe_load(text))
    assert {one.kind for one in read} == CLIENTS.keys() - {"subprocess", "spark_submit"}


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_names_actions_and_places_and_no_wildcard_for_both(path: Path) -> None:
    policy = json.loads(path.read_text())
    assert policy.keys() == {"Version", "Statement"}
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, places = (
            [part] if isinstance(part, str) else part for part in (statement["Action"], statement["Resource"])
        )
        assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action) for action in actions)
        # what cannot be named before it is made, and what can only be read
        if "*" in places:
            assert {*actions} <= {
                "elasticmapreduce:RunJobFlow",
                "elasticmapreduce:AddTags",
                "ecs:DescribeTaskDefinition",
            }
    assert f"deploy/policies/{path.name}" in PAGE


@pytest.mark.parametrize("kind", aws.PLATFORMS)
def test_a_policy_of_the_dagster_process_has_each_call_that_is_made(kind: str) -> None:
    platform = aws.PLATFORMS[kind]
    module = __import__(platform.pipes.partition(":")[0], fromlist=["x"])
    client = getattr(module, platform.pipes.partition(":")[2])
    sources = Path(__import__(client.__module__, fromlist=["x"]).__file__ or "").read_text()
    sources += Path(aws.__file__ or "").read_text() if kind == "emr" else ""
    called = set(re.findall(r"(?:_client|client|api)\.([a-z_]+)\(", sources))
    operations = boto3.client(platform.service, region_name="eu-central-1").meta.method_to_api_mapping
    prefix = SERVICES.get(kind, platform.service)
    wanted = {f"{prefix}:{operations[name]}" for name in (*called, *platform.starts) if name in operations}
    policy = json.loads((ROOT / "deploy" / "policies" / f"{kind}.json").read_text())
    allowed = {
        action
        for statement in policy["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert wanted <= allowed
    assert {
        action for action in allowed - wanted if not re.search(r"Tags?$|TagResource$|Cancel|Stop", action)
    } <= BESIDES
