"""The page of platforms: its examples are read by our own loader, and its policies allow what is called and no more."""

from __future__ import annotations

import json
import re
from functools import partial
from importlib import import_module
from inspect import getattr_static, getsource, isfunction
from pathlib import Path

import boto3
import pytest
import yaml
from pydantic import TypeAdapter

from mlops_assets.components import aws
from mlops_assets.use_case.clients import CLIENTS, Client
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.platforms import allowed, words_of

PAGE = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
POLICIES = sorted((ROOT / "deploy" / "policies").glob("*.json"))
FILLED = {
    "BUNDLE": f"s3://bank/bundles/mlops-assets-{'0' * 64}.tar.gz",
    "ROLE": "arn:aws:iam::123456789012:role/job",
    "SECRET": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-1",
}
BESIDES = {"PassRole", "TagResource", "AddTags"}
"""What is allowed and never called: it lets a call name a role, and tags."""


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
        actions, places = words_of(statement["Action"]), words_of(statement["Resource"])
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
    module, _, name = platform.pipes.partition(":")
    client = getattr(import_module(module), name)
    functions = [one for one in map(partial(getattr_static, client), dir(client)) if isfunction(one)]
    sources = "".join(map(getsource, [*functions, platform.stop]))
    called = {*re.findall(r"(?:_client|client|api)\.([a-z_]+)\(", sources), *platform.starts} - {*platform.unasked}
    operations = boto3.client(platform.service, region_name="eu-central-1").meta.method_to_api_mapping
    wanted = {operations[name] for name in called if name in operations}
    assert wanted <= allowed(kind)
    assert allowed(kind) - wanted <= BESIDES


def test_a_policy_passes_a_role_to_the_service_that_needs_it_alone() -> None:
    for path in POLICIES:
        for statement in json.loads(path.read_text())["Statement"]:
            if statement["Action"] == "iam:PassRole":
                assert statement["Condition"]["StringEquals"]["iam:PassedToService"].endswith(".amazonaws.com")
