"""A day's job on platforms of AWS, as moto's backends are asked for it: field by field, and what becomes of a bad end.

moto runs no jobs: what one would say is said in its place, by the parameters that the request has for it.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, WaiterError
from dagster._core.errors import DagsterExecutionInterruptedError

from mlops_assets.components.aws import PLATFORMS
from mlops_assets.components.messages import Messages, check_needs, job_of
from mlops_assets.components.requests import Job
from mlops_assets.errors import ConfigError
from mlops_assets.errors.aws import PlatformError
from mlops_assets.settings import Settings
from mlops_assets.use_case import load_use_case
from mlops_assets.use_case.clients import Client
from mlops_assets.use_case.platforms import Cluster, Ecs, Emr, EmrContainers, EmrServerless, Glue
from mlops_assets_tests.helpers.platforms import (
    BUNDLE,
    COMMAND,
    OPERATIONS,
    PLACE,
    REGION,
    ROLE,
    World,
    actions,
    allowed,
    aws,
    had_done,
)
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


def request(asked: Client) -> dict[str, Any]:
    """What a platform is asked for."""
    return PLATFORMS[asked.kind].ask(asked, JOB)


def test_a_step_for_a_cluster_of_emr_that_stands() -> None:
    asked = request(Emr(cluster_id="j-1", spark={"spark.executor.memory": "4g"}, **BUNDLED))
    step = asked["Steps"][0]
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
    assert steps[0]["ActionOnFailure"] == "TERMINATE_CLUSTER"
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
        "Tags": [
            {"Key": "mlops-assets", "Value": "shop-2026-01-01-1f3b9a20"},
            {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
        ],
    }


def test_a_request_that_is_sent_again_has_the_same_token_and_one_of_another_try_has_not() -> None:
    first, step, run = (job_of(try_of(*one), COMMAND, {}) for one in (("r1", 0), ("r1", 1), ("r2", 0)))
    assert first.token == job_of(try_of("r1", 0), list(COMMAND), {"A": "b"}).token
    assert len({first.token, step.token, run.token}) == 3
    assert first.name == step.name == run.name == "shop-2026-01-01-r0"


def try_of(run: str, number: int) -> Any:
    """The context of a step of a run that tries again what the run `r0` did."""
    return SimpleNamespace(
        run=SimpleNamespace(run_id=run, root_run_id="r0"), op_execution_context=SimpleNamespace(retry_number=number)
    )


@pytest.mark.parametrize("kind", [*OPERATIONS, "transient"])
def test_a_request_fits_what_the_platform_says_of_its_own_fields(kind: str) -> None:
    words = ["_" + 40 * "long_", *JOB.words[1:]]
    job = Job(words, {"MLOPS_USER": "a 'b' \u00e9", "MLOPS_LAKE": "s3://bank/" + 200 * "x"}, JOB.run)
    asked: dict[str, Client] = {
        "emr": Emr(cluster_id="j-1A2B", **BUNDLED),
        "transient": Emr(cluster=Cluster(release="emr-7.12.0", subnet="subnet-1", machines=500), **BUNDLED),
        "emr_serverless": EmrServerless(application="00f1", role=ROLE, minutes=1, **BUNDLED),
        "emr_containers": EmrContainers(cluster="0a1b", role=ROLE, release="emr-7.12.0-latest", **BUNDLED),
        "glue": Glue(job="days", minutes=7 * 24 * 60, **BUNDLED),
        "ecs": Ecs(cluster="days", task="day", subnets=("subnet-1",), spot=True),
    }
    operation = OPERATIONS.get(kind, ("RunJobFlow",))[-1]
    platform = PLATFORMS["emr" if kind == "transient" else kind]
    model = boto3.client(platform.service, region_name=REGION).meta.service_model.operation_model(operation)
    assert [*unfit(platform.ask(asked[kind], job), model.input_shape)] == []
    label = re.compile(r"[a-z0-9A-Z]([\w.-]{0,61}[a-z0-9A-Z])?")
    assert label.fullmatch(job.name)  # of a pod


def unfit(value: Any, shape: Any, place: str = "") -> Iterator[str]:
    """What of a request is not as botocore's description of the API has it; boto3 itself looks at less."""
    known = shape.metadata
    if shape.type_name == "structure":
        yield from (f"{place}.{name}: unknown" for name in value.keys() - shape.members.keys())
        yield from (f"{place}.{name}: missing" for name in {*shape.required_members} - value.keys())
        for name in value.keys() & shape.members.keys():
            yield from unfit(value[name], shape.members[name], f"{place}.{name}")
    elif shape.type_name == "list":
        for number, one in enumerate(value):
            yield from unfit(one, shape.member, f"{place}[{number}]")
    elif shape.type_name == "map":
        for name, one in value.items():
            yield from unfit(name, shape.key, f"{place}.{name}")
            yield from unfit(one, shape.value, f"{place}.{name}")
    size = value if isinstance(value, int) else len(value)
    if not known.get("min", 0) <= size <= known.get("max", size):
        yield f"{place}: {size} is not within {known.get('min')} and {known.get('max')}"
    if isinstance(value, str) and known.get("enum") and value not in known["enum"]:
        yield f"{place}: {value} is none of {known['enum']}"
    pattern = known.get("pattern", "")
    # Java's classes of signs are told otherwise in Python
    if isinstance(value, str) and not re.search(r"\\[pu]", pattern) and not re.search(pattern, value):
        yield f"{place}: {value} does not match {pattern}"


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
        assert actions(world) <= allowed(kind)
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
        assert actions(world) <= allowed(kind)
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


def test_a_job_that_cannot_be_ended_is_told_of_and_the_error_stays_what_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with aws(monkeypatch) as world:
        asked = placed("glue", world)
        world.state = "TIMEOUT"
        world.at["BatchStopJobRun"] = refusing("AccessDeniedException")
        with pytest.raises(PlatformError, match="completed with status TIMEOUT"):
            had_done(world, asked)
    assert "WARNING" in (told := capfd.readouterr().err)
    assert "The job was not ended from here; see that it has ended there. Glue denies access" in told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Max attempts exceeded", "^ECS: the job took longer than 180 minutes and was ended"),
        ("Waiter encountered a terminal failure state", "^ECS knows the job no longer: run the day again"),
    ],
    ids=["long", "vanished"],
)
def test_a_task_that_takes_too_long_or_is_gone_is_a_sentence(
    reason: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end() -> None:
        raise WaiterError("TasksStopped", reason, {})

    with aws(monkeypatch) as world:
        asked = placed("ecs", world)
        world.at["DescribeTasks"] = end
        with pytest.raises(PlatformError, match=told):
            had_done(world, asked)
        assert len(world.asked("StopTask")) == 1


def test_a_day_that_was_done_is_not_red_because_what_was_said_of_it_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws(monkeypatch) as world:
        asked = placed("glue", world)
        world.at["DeleteObject"] = refusing("AccessDenied")
        assert list(had_done(world, asked).get_custom_messages()) == [{"done": True}]
        assert not world.asked("BatchStopJobRun")
        # what cannot be told is no fault of the platform
        world.at["PutObject"] = refusing("AccessDenied", "PutObject")
        with pytest.raises(PlatformError, match=r"^S3 denies access: "):
            had_done(world, asked)


def refusing(code: str, operation: str = "") -> Callable[[], None]:
    """A call that AWS refuses."""

    def refuse() -> None:
        raise ClientError({"Error": {"Code": code, "Message": "the reason"}}, operation)

    return refuse


def test_all_that_a_job_said_is_heard_at_once_and_a_network_that_fails_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws(monkeypatch) as world:
        store = world.connect("s3")
        reader, params = Messages(PLACE, store).reader(), {"key_prefix": "k"}
        for number in range(1, 41):
            store.put_object(Bucket=PLACE.bucket, Key=f"k/{number}.json", Body=f"line {number}".encode())
        assert reader.messages_are_readable(params)
        cursor, text = reader.download_messages(None, params)
        assert text.splitlines() == [f"line {number}" for number in range(1, 41)]
        store.put_object(Bucket=PLACE.bucket, Key="k/41.json", Body=b"the last one")

        def fail() -> None:
            raise EndpointConnectionError(endpoint_url="https://x")

        world.at["GetObject"] = world.at["HeadObject"] = fail
        assert reader.download_messages(cursor, params) is None
        assert not reader.messages_are_readable(params)
        world.at.clear()
        assert reader.download_messages(cursor, params)[1] == "the last one"


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
