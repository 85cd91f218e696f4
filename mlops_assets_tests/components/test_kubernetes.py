"""A day's job as a pod: the body that the API of Kubernetes gets, and that no pod outlives its step."""

from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from mlops_assets.components.kubernetes import KubernetesClient
from mlops_assets.components.messages import Messages
from mlops_assets.errors.aws import PlatformError
from mlops_assets.use_case.platforms import Kubernetes
from mlops_assets_tests.helpers.kubernetes_api import Cluster, kubernetes_api
from mlops_assets_tests.helpers.platforms import COMMAND, PLACE, REGION, aws, in_a_step, say

ASKED = Kubernetes(
    image="registry/mlops@sha256:0",
    namespace="days",
    account="mlops",
    minutes=60,
    secrets={"MLOPS_DATABASE_URL": "mlops/database"},
)


def had_done(cluster: Cluster, kubeconfig: str = "", asked: Kubernetes = ASKED) -> Any:
    """Have the job done in a step of a Dagster run."""
    messages = Messages(PLACE, boto3.client("s3", region_name=REGION), interval=0.05)
    return in_a_step(KubernetesClient(asked, messages, kubeconfig or cluster.kubeconfig, interval=0.05))


def test_the_pod_of_a_day_and_the_run_hears_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch), kubernetes_api(tmp_path) as cluster:
        cluster.created = partial(say, s3=boto3.client("s3", region_name=REGION))
        invocation = had_done(cluster)
    assert list(invocation.get_custom_messages()) == [{"done": True}]
    ((place, body),) = cluster.pods.items()
    assert place[0] == "days"
    assert cluster.deleted == [place]
    assert body["metadata"]["labels"]["mlops-assets"].startswith("shop-2026-01-01-")
    (container,) = body["spec"].pop("containers")
    assert body["spec"] == {
        "activeDeadlineSeconds": 3600,
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": 10001, "runAsNonRoot": True, "runAsUser": 10001},
        "serviceAccountName": "mlops",
        "volumes": [{"name": "home", "emptyDir": {}}],
    }
    environment = {one.pop("name"): one for one in container.pop("env")}
    assert environment.pop("DAGSTER_PIPES_CONTEXT")
    assert environment.pop("DAGSTER_PIPES_MESSAGES")
    assert environment == {
        "MLOPS_DATABASE_URL": {"valueFrom": {"secretKeyRef": {"name": "mlops", "key": "database"}}},
        "MLOPS_HOME": {"value": "/var/lib/mlops"},
        "MLOPS_LAKE": {"value": "s3://bank/lake"},
        "MLOPS_USER": {"value": "a b"},
    }
    assert container == {
        "name": "job",
        "image": "registry/mlops@sha256:0",
        "command": ["python", "-m", "mlops_assets.job", *COMMAND],
        "resources": {
            "requests": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi"},
            "limits": {"memory": "4Gi", "ephemeral-storage": "10Gi"},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "home", "mountPath": "/var/lib/mlops"}],
    }


def test_no_pod_outlives_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch), kubernetes_api(tmp_path) as cluster:
        cluster.exit_code = 137
        with pytest.raises(PlatformError, match=r"^The pod did not do the job to its end: "):
            had_done(cluster)
        assert len(cluster.deleted) == 1


def test_a_pod_that_finds_no_room_is_waited_for_as_long_as_a_job_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws(monkeypatch), kubernetes_api(tmp_path) as cluster:
        cluster.exit_code = None
        soon = ASKED.model_copy(update={"minutes": 0.001})
        with pytest.raises(PlatformError, match=r"Timed out while waiting for pod to become ready\.$"):
            had_done(cluster, asked=soon)
        assert len(cluster.deleted) == 1


def test_a_pod_that_somebody_removed_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch), kubernetes_api(tmp_path) as cluster:
        cluster.exit_code, cluster.gone = 137, True
        with pytest.raises(PlatformError, match=r"^The pod was removed by somebody else before its end"):
            had_done(cluster)


def test_a_cluster_that_refuses_or_is_not_there_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws(monkeypatch), kubernetes_api(tmp_path) as cluster:
        cluster.refuse = 403
        with pytest.raises(PlatformError, match=r"^Kubernetes refuses: Forbidden \(403\)\. The service account"):
            had_done(cluster)
        with pytest.raises(PlatformError, match=r"^There is no way to a cluster of Kubernetes: .* Name a `context`\."):
            had_done(cluster, str(tmp_path / "none"))
