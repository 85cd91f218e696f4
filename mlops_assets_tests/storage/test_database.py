"""One setting puts Dagster's storage and MLflow's tables into PostgreSQL; its password is seen nowhere."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from mlops_assets import running
from mlops_assets.errors import UsageError
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.store import has
from mlops_assets.settings import Settings
from mlops_assets.storage.database import DatabaseDown, DatabaseError, database_url, open_database, prepare_database
from mlops_assets_tests.helpers.postgres import FORMS, PASSWORD, Server, as_user, leaks, query


@pytest.fixture
def in_database(settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLOPS_DATABASE_URL", database)
    monkeypatch.setenv("DAGSTER_HOME", "")
    return Settings.from_environment()


def test_dagster_and_mlflow_keep_their_tables_apart_in_one_database(in_database: Settings, database: str) -> None:
    with running.dagster_instance(in_database) as instance:
        assert instance.get_runs() == []
    assert Registry(in_database).experiment("shop") == Registry(in_database).experiment("shop")
    tables = query(database, "SELECT table_schema, table_name FROM information_schema.tables")
    assert {("public", "event_logs"), ("public", "runs"), ("mlflow", "runs"), ("mlflow", "experiments")} <= {*tables}
    assert query(database, "SELECT name, artifact_location FROM mlflow.experiments WHERE name = 'shop'") == [
        ("shop", (in_database.artifacts / "shop").as_uri())
    ]
    assert not list(in_database.home.rglob("*.db")), "nothing is left to SQLite"
    assert leaks(in_database.home) == []


def test_mlflows_tables_say_whether_they_have_a_version(in_database: Settings) -> None:
    client = Registry(in_database).client()
    client.create_registered_model("shop")
    for number in (1, 2):
        assert client.create_model_version("shop", "somewhere").version in (number, str(number))
    client.delete_model_version("shop", "1")
    assert [has(in_database, "shop", number) for number in (1, 2, 3)] == [False, True, False]
    assert not has(in_database, "other", 2)


def test_mlflow_stays_where_its_own_setting_says(
    in_database: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    settings = Settings.from_environment()
    prepare_database(settings.database, for_mlflow=settings.tracks_in_database)
    assert settings.tracking_uri == "http://127.0.0.1:5000"
    assert query(database, "SELECT nspname FROM pg_namespace WHERE nspname = 'mlflow'") == []


def test_a_database_of_settings_is_not_shown_with_them(in_database: Settings) -> None:
    assert not any(form in repr(in_database) for form in FORMS)


def test_a_user_who_may_not_make_tables_is_told_what_to_grant(
    in_database: Settings, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(make_url(database).database)
    postgres.execute("DROP ROLE IF EXISTS clerk")
    postgres.execute("CREATE ROLE clerk LOGIN")
    monkeypatch.setenv("MLOPS_DATABASE_URL", as_user(database, "clerk"))
    settings = Settings.from_environment()
    for grant in ('GRANT CREATE ON SCHEMA public TO "clerk"', f'GRANT CREATE ON DATABASE "{name}" TO "clerk"'):
        with pytest.raises(DatabaseError) as refused:
            prepare_database(settings.database, for_mlflow=settings.tracks_in_database)
        assert grant in str(refused.value)
        postgres.execute(grant, name)
    prepare_database(settings.database, for_mlflow=settings.tracks_in_database)
    assert query(database, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'mlflow'") == [("clerk",)]
    Registry(settings).experiment("shop")


def test_a_database_that_is_gone_is_told_with_its_place_and_without_its_password(
    in_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://me:pa55-in-the-url%2F%40@127.0.0.1:1/state")
    with pytest.raises(DatabaseDown) as down, running.dagster_instance(Settings.from_environment()):
        pass
    assert "MLOPS_DATABASE_URL (postgresql 127.0.0.1:1/state) cannot be reached" in str(down.value)
    assert "Connection refused" in str(down.value)
    assert not any(form in str(down.value) for form in FORMS)


@pytest.mark.parametrize(
    "url",
    ["mysql://u:pa55-in-the-url@h/d", "postgres:pa55-in-the-url", "postgresql://u:pa55-in-the-url@h:port/d"],
)
def test_a_setting_that_is_no_postgresql_is_wrong_usage(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", url)
    with pytest.raises(UsageError, match="must look like postgresql://") as wrong:
        Settings.from_environment()
    assert "pa55" not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "SHOP_URL is not set"),
        ("shop", "SHOP_URL holds no URL"),
        ("postgresql://u:pa55@-in-the-url@h/d", "as %40"),
        ("oracle://u:pa55-in-the-url@h/d", "is not installed here"),
    ],
)
def test_a_variable_that_holds_no_usable_url_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("SHOP_URL", url)
    with pytest.raises(UsageError) as wrong, open_database("SHOP_URL"):
        pass
    assert said in str(wrong.value)
    assert "pa55" not in str(wrong.value)
    assert "in-the-url" not in str(wrong.value)


def test_what_a_database_says_is_told_with_the_password_taken_out(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import text

    monkeypatch.setenv("SHOP_URL", database)
    assert database_url("SHOP_URL").password == PASSWORD
    with pytest.raises(DatabaseError) as wrong, open_database("SHOP_URL") as engine, engine.connect() as connection:
        connection.execute(text(f"SELECT '{PASSWORD}'::integer"))
    assert 'invalid input syntax for type integer: "***"' in str(wrong.value)
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__, "the error beneath, which has the statement, is not shown"
