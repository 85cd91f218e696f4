"""A day's job on platforms of AWS, as moto's backends are asked for it: field by field, and what becomes of a bad end.

moto runs no jobs: what one would say is said in its place, by the parameters that the request has for it.
"""

from itertools import pairwise
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from dagster._core.errors import DagsterExecutionInterruptedError

from mlops_assets.components import requests
from mlops_assets.components.messages import check_needs
from mlops_assets.components.requests import Job
from mlops_assets.errors import ConfigError
from mlops_assets.errors.aws import PlatformError
from mlops_assets.settings import Settings
from mlops_assets.use_case import load_use_case
from mlops_assets.use_case.clients import Client
from mlops_assets.use_case.platforms import Cluster, Ecs, Emr, EmrContainers, EmrServerless, Glue
from mlops_assets_tests.helpers.platforms import BUNDLE, OPERATIONS, PLACE, REGION, ROLE, World, aws, had_done
from mlops_assets_tests.helpers.visits import place_visits

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-AbCdEf"
SCRIPT = BUNDLE.replace(".tar.gz", ".py")
JOB = Job(["shop", "--day", "2026-01-01", "--model", "current"], {"MLOPS_LAKE": "s3://bank/lake"}, "1f3b9a20-run")
WORDS = "shop --day 2026-01-01 --model current"
BUNDLED = {"bundle": BUNDLE, "secrets": {"MLOPS_DATABASE_URL": SECRET}}
ARGUMENTS = ["--job", WORDS, "--variable", "MLOPS_LAKE=s3://bank/lake"]
FETCHED = ["--secret", f"MLOPS_DATABASE_URL={SECRET}"]
STOPS = {
    "emr": "CancelSteps",
    "emr_serverless": "CancelJobRun",
    "emr_containers": "CancelJobRun",
    "glue": "BatchStopJobRun",
    "ecs": "StopTask",
}
LOOKS = {
    "emr": "DescribeStep",
    "emr_serverless": "GetJobRun",
    "emr_containers": "DescribeJobRun",
    "glue": "GetJobRun",
    "ecs": "DescribeTasks",
}
RED = {"emr": "FAILED", "emr_serverless": "FAILED", "emr_containers": "FAILED", "glue": "FAILED", "ecs": "1"}


def placed(kind: str, world: World) -> Client:
    """A platform as it stands before the day, and what a use case says of it."""
    match kind:
        case "emr":
            made = world.connect("emr").run_job_flow(
                Name="standing",
                ReleaseLabel="emr-7.0.0",
                Instances={"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1, "MasterInstanceType": "m5.xlarge"},
                JobFlowRole="x",
                ServiceRole="y",
            )
            return Emr(cluster_id=made["JobFlowId"], **BUNDLED)
        case "emr_serverless":
            api = world.connect("emr-serverless")
            made = api.create_application(name="x", releaseLabel="emr-7.0.0", type="SPARK", clientToken="t")
            return EmrServerless(application=made["applicationId"], role=ROLE, **BUNDLED)
        case "emr_containers":
            boto3.client("eks", region_name=REGION).create_cluster(name="eks", roleArn=ROLE, resourcesVpcConfig={})
            place = {"id": "eks", "type": "EKS", "info": {"eksInfo": {"namespace": "jobs"}}}
            made = world.connect("emr-containers").create_virtual_cluster(
                name="x", containerProvider=place, clientToken="t"
            )
            return EmrContainers(cluster=made["id"], role=ROLE, release="emr-7.0.0-latest", **BUNDLED)
        case "glue":
            world.connect("glue").create_job(Name="days", Role=ROLE, Command={"Name": "pythonshell"})
            return Glue(job="days", **BUNDLED)
    api = world.connect("ecs")
    api.create_cluster(clusterName="days")
    api.register_task_definition(family="day", containerDefinitions=[{"name": "job", "image": "i", "memory": 512}])
    return Ecs(cluster="days", task="day", subnets=("subnet-1",))


def request(asked: Client) -> dict[str, object]:
    """What a platform is asked for."""
    ask = {
        Emr: requests.ask_emr,
        EmrServerless: requests.ask_emr_serverless,
        EmrContainers: requests.ask_emr_containers,
        Glue: requests.ask_glue,
        Ecs: requests.ask_ecs,
    }
    return ask[type(asked)](asked, JOB)  # type: ignore[index, operator, no-any-return]


def test_a_step_for_a_cluster_of_emr_that_stands() -> None:
    asked = request(Emr(cluster_id="j-1", spark={"spark.executor.memory": "4g"}, **BUNDLED))
    step = asked["Steps"][0]  # type: ignore[index]
    words = step["HadoopJarStep"].pop("Args")
    assert asked["JobFlowId"] == "j-1"
    assert step == {
        "Name": "shop-2026-01-01-1f3b9a20",
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar"},
    }
    assert words[:5] == ["spark-submit", "--deploy-mode", "cluster", "--archives", f"{BUNDLE}#environment"]
    conf = dict(word.split("=", 1) for name, word in pairwise(words) if name == "--conf")
    assert conf == {
        "spark.executor.memory": "4g",
        "spark.executorEnv.MLOPS_LAKE": "s3://bank/lake",
        "spark.executorEnv.PYSPARK_PYTHON": "./environment/bin/python",
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON": "./environment/bin/python",
        "spark.yarn.maxAppAttempts": "1",
        "spark.yarn.tags": "shop-2026-01-01-1f3b9a20",
    }
    assert words[words.index(SCRIPT) + 1 :] == [*ARGUMENTS, "--variable", "MLOPS_SPARK_MASTER=yarn", *FETCHED]


def test_a_cluster_of_emr_that_is_gone_after_the_day() -> None:
    cluster = Cluster(release="emr-7.12.0", subnet="subnet-1", spot=True, logs="s3://bank/logs")
    asked = request(Emr(cluster=cluster, **BUNDLED))
    steps = asked.pop("Steps")
    assert steps[0]["ActionOnFailure"] == "TERMINATE_CLUSTER"  # type: ignore[index]
    assert asked == {
        "Name": "shop-2026-01-01-1f3b9a20",
        "ReleaseLabel": "emr-7.12.0",
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": "EMR_DefaultRole_V2",
        "JobFlowRole": "EMR_EC2_DefaultRole",
        "LogUri": "s3://bank/logs",
        "Instances": {
            "Ec2SubnetId": "subnet-1",
            "KeepJobFlowAliveWhenNoSteps": False,
            "TerminationProtected": False,
            "InstanceGroups": [
                {
                    "Name": "master",
                    "InstanceRole": "MASTER",
                    "InstanceType": "m5.xlarge",
                    "InstanceCount": 1,
                    "Market": "ON_DEMAND",
                },
                {
                    "Name": "core",
                    "InstanceRole": "CORE",
                    "InstanceType": "m5.xlarge",
                    "InstanceCount": 2,
                    "Market": "SPOT",
                },
            ],
        },
        "Tags": [{"Key": "mlops-assets", "Value": "shop-2026-01-01-1f3b9a20"}],
    }


def test_a_request_that_is_sent_again_has_the_same_token_and_another_try_has_not() -> None:
    again = Job(JOB.words, JOB.variables, JOB.run, attempt=1)
    assert JOB.token == Job(list(JOB.words), {}, JOB.run).token != again.token
    assert again.name == JOB.name


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_platform_takes_the_request_and_the_run_hears_what_the_job_says(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws(monkeypatch) as world:
        asked = placed(kind, world)
        invocation = had_done(world, asked)
        assert list(invocation.get_custom_messages()) == [{"done": True}]
        READ_BACK[kind](world, asked)
        assert not world.asked(STOPS[kind])
        # nothing is left of what was said
        found = world.connect("s3").list_objects_v2(Bucket=PLACE.bucket)
        assert [one["Key"] for one in found.get("Contents", [])] == []
        assert all(one["Key"].startswith(f"{PLACE.key}/") for one in world.asked("PutObject"))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_job_that_ends_badly_is_told_in_a_sentence_and_ended(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch) as world:
        asked = placed(kind, world)
        world.state = RED[kind]
        with pytest.raises(PlatformError, match=r"did not do the job to its end: .*Its log says why\."):
            had_done(world, asked)
        assert len(world.asked(STOPS[kind])) == 1


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_run_that_is_cancelled_ends_its_job(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel() -> None:
        raise DagsterExecutionInterruptedError

    with aws(monkeypatch) as world:
        asked = placed(kind, world)
        world.at[LOOKS[kind]] = cancel
        with pytest.raises(DagsterExecutionInterruptedError):
            had_done(world, asked)
        assert len(world.asked(STOPS[kind])) == 1
        if kind == "emr":  # the driver in YARN, too
            words = world.asked("AddJobFlowSteps")[-1]["Steps"][0]["HadoopJarStep"]["Args"]
            assert "yarn application -kill" in words[-1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NoCredentialsError(), "EMR Serverless finds no credentials: set them in the environment"),
        (EndpointConnectionError(endpoint_url="https://x"), "EMR Serverless does not answer: look at the network"),
        ("AccessDeniedException", "EMR Serverless denies access: let the role of the Dagster process do it"),
        ("ExpiredTokenException", "EMR Serverless says that the credentials have expired or are none"),
        ("ThrottlingException", "EMR Serverless asks for fewer requests: run again later"),
        ("ServiceQuotaExceededException", "EMR Serverless has no room for another job"),
        ("ResourceNotFoundException", "EMR Serverless does not know what `scale.client` names"),
        ("ValidationException", r"EMR Serverless refuses the job \(ValidationException: the reason\)"),
    ],
    ids=str,
)
def test_what_aws_refuses_is_a_sentence(error: Exception | str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        if isinstance(error, str):
            raise ClientError({"Error": {"Code": error, "Message": "the  reason."}}, "StartJobRun")
        raise error

    with aws(monkeypatch) as world:
        asked = placed("emr_serverless", world)
        world.at["StartJobRun"] = refuse
        with pytest.raises(PlatformError, match=rf"^{told}.*\.$"):
            had_done(world, asked)
        assert not world.asked("CancelJobRun")


def read_emr(world: World, asked: Client) -> None:
    step = world.connect("emr").list_steps(ClusterId=asked.cluster_id)["Steps"][0]  # type: ignore[union-attr]
    words = step["Config"]["Args"]
    assert step["Name"].startswith("shop-2026-01-01-")
    assert words[words.index(SCRIPT) + 1 :][:2] == ["--job", WORDS]
    assert words[-4::2] == ["--dagster-pipes-context", "--dagster-pipes-messages"]
    assert words[words.index("--secret") + 1] == FETCHED[1]


def read_serverless(world: World, asked: Client) -> None:
    api = world.connect("emr-serverless")
    (found,) = api.list_job_runs(applicationId=asked.application)["jobRuns"]  # type: ignore[union-attr]
    run = api.get_job_run(applicationId=asked.application, jobRunId=found["id"])["jobRun"]  # type: ignore[union-attr]
    submit = run["jobDriver"]["sparkSubmit"]
    assert (run["executionRole"], submit["entryPoint"]) == (ROLE, SCRIPT)
    assert submit["entryPointArguments"][:2] == ["--job", WORDS]
    assert submit["entryPointArguments"][-2:] == FETCHED
    assert "spark.emr-serverless.driverEnv.DAGSTER_PIPES_CONTEXT=" in submit["sparkSubmitParameters"]
    (defaults,) = run["configurationOverrides"]["applicationConfiguration"]
    assert defaults["classification"] == "spark-defaults"
    properties = defaults["properties"]
    assert properties["spark.archives"] == f"{BUNDLE}#environment"
    assert properties["spark.emr-serverless.driverEnv.PYSPARK_PYTHON"] == "./environment/bin/python"
    assert properties["spark.executorEnv.MLOPS_USER"] == "a b"
    assert world.asked("StartJobRun")[0]["executionTimeoutMinutes"] == 180


def read_containers(world: World, asked: Client) -> None:
    api = world.connect("emr-containers")
    (run,) = api.list_job_runs(virtualClusterId=asked.cluster)["jobRuns"]  # type: ignore[union-attr]
    assert run["name"].startswith("shop-2026-01-01-")
    assert (run["executionRoleArn"], run["releaseLabel"]) == (ROLE, "emr-7.0.0-latest")
    submit = run["jobDriver"]["sparkSubmitJobDriver"]
    assert submit["entryPoint"] == SCRIPT
    assert submit["entryPointArguments"][:2] == ["--job", WORDS]
    # dagster-aws's merging leaves ours whole, and adds its own
    by_name = {one["classification"]: one for one in run["configurationOverrides"]["applicationConfiguration"]}
    assert by_name["spark-defaults"]["properties"]["spark.archives"] == f"{BUNDLE}#environment"
    assert "DAGSTER_PIPES_CONTEXT" in by_name["spark-env"]["configurations"][0]["properties"]


def read_glue(world: World, asked: Client) -> None:
    started = world.asked("StartJobRun")[0]
    run = world.connect("glue").get_job_runs(JobName="days")["JobRuns"][0]
    arguments = run["Arguments"]
    assert started["Timeout"] == run["Timeout"] == 180
    assert {name: arguments[name] for name in ("--scriptLocation", "--bundle", "--job", "--secrets")} == {
        "--scriptLocation": SCRIPT,
        "--bundle": BUNDLE,
        "--job": WORDS,
        "--secrets": FETCHED[1],
    }
    assert arguments["--variables"] == "MLOPS_LAKE=s3://bank/lake 'MLOPS_USER=a b'"
    assert {"--dagster-pipes-context", "--dagster-pipes-messages"} <= arguments.keys()


def read_ecs(world: World, asked: Client) -> None:
    started = world.asked("RunTask")[0]
    api = world.connect("ecs")
    arns = api.list_tasks(cluster="days", desiredStatus="STOPPED")["taskArns"]
    (task,) = api.describe_tasks(cluster="days", tasks=arns, include=["TAGS"])["tasks"]
    (container,) = task["overrides"]["containerOverrides"]
    assert container["name"] == "job"
    assert container["command"] == ["python", "-m", "mlops_assets.job", *JOB.words]
    environment = {one["name"]: one["value"] for one in container["environment"]}
    assert environment.items() >= {"MLOPS_LAKE": "s3://bank/lake", "MLOPS_USER": "a b"}.items()
    assert environment.keys() - {"MLOPS_LAKE", "MLOPS_USER"} == {"DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES"}
    assert started["clientToken"] == started["startedBy"] == task["startedBy"]
    assert task["capacityProviderName"] == "FARGATE"
    assert started["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1"],
        "securityGroups": [],
        "assignPublicIp": "DISABLED",
    }
    assert any(tag["key"] == "mlops-assets" for tag in task["tags"])


READ_BACK = {
    "emr": read_emr,
    "emr_serverless": read_serverless,
    "emr_containers": read_containers,
    "glue": read_glue,
    "ecs": read_ecs,
}
"""What each platform tells of what it was asked for."""


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"MLOPS_RAW": "/raw"},
            r"^visits: a job elsewhere cannot reach this machine: set MLOPS_RAW to what both can\.$",
        ),
        (
            {"MLFLOW_TRACKING_URI": ""},
            r"cannot reach this machine: set MLOPS_DATABASE_URL or MLFLOW_TRACKING_URI to what both can\.$",
        ),
        (
            {"MLOPS_DATABASE_URL": "postgresql://u:tulip@db/d"},
            r"^visits: the job needs MLOPS_DATABASE_URL: name under `scale\.client\.secrets` where the platform keeps it",
        ),
    ],
    ids=["place", "registry", "secret"],
)
def test_what_a_job_elsewhere_cannot_have_is_told_before_one_is_started(
    variables: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_case = load_use_case(place_visits(tmp_path) / "visits")
    enough = {"MLOPS_RAW": "s3://bank/raw", "MLOPS_LAKE": "s3://bank/lake", "MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    for name, value in {**enough, "MLOPS_HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=told):
        check_needs(use_case, Settings.from_environment(), ["MLFLOW_TRACKING_URI"])
