"""The V2 inference protocol, asked by a real client of it: a tensor a column, a row a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from mlops_assets.journey.score.online import Sent, answer_files
from mlops_assets_tests.helpers.served_home import Api, served, served_home

HEADER = "id;safra_abertura;cidade;estado;idade;sexo;limite_total;limite_disp;data;valor;grupo_estabelecimento;"
HEADER += "cidade_estabelecimento;pais_estabelecimento"
LINES = (
    "7;201910;OSASCO;SP;40;F;1000;900,5;01.11.2026;12,5;;OSASCO;BR",
    "7;201910;OSASCO;SP;40;F;1000;;02.11.2026;88;;;BR",
)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with served_home() as workspace, served(workspace) as server:
        yield server


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(api.host) as client:
        yield client


def texts(*values: str | bytes | None) -> np.ndarray:
    return np.array(values, object)


def tensor(name: str, values: np.ndarray, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(values.shape), {"O": "BYTES", "f": "FP64", "i": "INT64"}[values.dtype.kind])
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def two_rows(*, binary: bool = True, **changed: np.ndarray) -> list[triton.InferInput]:
    columns = {
        "account_id": texts("7", "7"),
        "account_opened": np.array([201910, 201910]),
        "home_city": texts("OSASCO", "OSASCO"),
        "home_state": texts("SP", "SP"),
        "age": np.array([40.0, 40.0]),
        "sex": texts("F", "F"),
        "limit_total": np.array([[1000.0], [1000.0]]),
        "limit_available": np.array([900.5, np.nan]) if binary else texts("900,5", ""),
        "date": texts("2026-11-01", "02.11.2026"),
        "amount": np.array([12.5, 88.0]),
        "merchant_city": texts("OSASCO", ""),
        "merchant_country": texts("BR", "BR"),
    }
    return [tensor(name, values, binary=binary) for name, values in (columns | changed).items()]


def outputs(*names: str) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]


def in_batch(api: Api) -> Any:
    """What becomes of the same two rows in a file."""
    service = api.app.state.service
    file = Sent("a.csv", "\n".join((HEADER, *LINES, "")).encode())
    use_case = service.use_cases["transactions"]
    (answered,) = answer_files(service.champions.choose(use_case), [file], service.today(use_case))
    return answered


def error_of(client: triton.InferenceServerClient, *given: Any, **more: Any) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(*given, **more)
    return caught.value


def test_a_client_finds_the_server_and_its_models(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.is_model_ready("transactions")
    assert client.is_model_ready("transactions", "1")
    assert not client.is_model_ready("transactions", "99")
    assert not client.is_model_ready("loan_approval")  # it has no champion


def test_a_model_says_what_it_takes_and_gives(client: triton.InferenceServerClient) -> None:
    told = client.get_model_metadata("transactions")
    inputs = {one["name"]: one for one in told["inputs"]}
    assert inputs["amount"]["datatype"] == "FP64"
    assert inputs["age"]["datatype"] == "INT64"
    assert inputs["date"]["datatype"] == "BYTES"
    assert inputs["category"]["parameters"] == {"optional": True}  # the label
    (vectors,) = [one for one in told["outputs"] if one["name"] == "probabilities"]
    assert vectors["shape"] == [-1, len(vectors["parameters"]["classes"])]
    assert [one["name"] for one in client.get_model_metadata("topics")["inputs"]] == ["file", "name"]


@pytest.mark.parametrize("binary", [True, False])
def test_rows_are_answered_as_those_of_a_file(api: Api, client: triton.InferenceServerClient, binary: bool) -> None:
    expected = in_batch(api)
    asked = [triton.InferRequestedOutput(name, binary) for name in ("prediction", "probability", "probabilities")]
    given = two_rows(binary=binary)
    answer = client.infer("transactions", given, model_version="1", outputs=asked, request_id="mine")
    classes = api.app.state.service.champions.choose(api.app.state.service.use_cases["transactions"]).model.classes
    found = [text.decode() if isinstance(text, bytes) else text for text in answer.as_numpy("prediction")]
    assert found == [classes[number] for number in expected.numbers]
    assert answer.as_numpy("probability").tolist() == expected.sure["probability"].tolist()
    assert answer.as_numpy("probabilities").tolist() == expected.probabilities.tolist()
    told = answer.get_response()
    assert (told["model_name"], told["model_version"], told["id"]) == ("transactions", "1", "mine")


def test_prediction_and_probability_are_answered_unless_others_are_asked_for(
    client: triton.InferenceServerClient,
) -> None:
    told = client.infer("transactions", two_rows()).get_response()
    assert [one["name"] for one in told["outputs"]] == ["prediction", "probability"]


def test_a_rejected_row_refuses_the_request_unless_rejects_are_asked_for(client: triton.InferenceServerClient) -> None:
    bad = two_rows(date=texts("someday", "02.11.2026"))
    error = error_of(client, "transactions", bad)
    assert error.status() == "422"
    assert "rows[0]: type: 'data' is 'someday'" in error.message()
    answer = client.infer("transactions", bad, outputs=outputs("prediction", "probability", "rejected"))
    assert answer.as_numpy("prediction")[0] == b""
    assert answer.as_numpy("prediction")[1] != b""
    assert np.isnan(answer.as_numpy("probability")).tolist() == [True, False]
    assert answer.as_numpy("rejected")[0].startswith(b"type: ")


def test_a_file_that_is_refused_as_a_whole_is_refused_in_each_row(client: triton.InferenceServerClient) -> None:
    two_accounts = two_rows(account_id=texts("7", "8"))
    assert error_of(client, "transactions", two_accounts).message().startswith("2 rejected: rows[0]: ")
    answer = client.infer("transactions", two_accounts, outputs=outputs("rejected", "prediction"))
    assert answer.as_numpy("prediction").tolist() == [b"", b""]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amuont": np.array([1.0, 2.0])}, "'amuont': there is no such input"),
        ({"date": np.array([1, 2])}, "'date' is INT64, expected BYTES"),
        ({"age": np.array([40.0])}, "they differ in their number of rows"),
        ({"amount": np.array([[1.0, 2.0]])}, "expected [rows] or [rows, 1]"),
        ({"home_city": texts(b"\xff", "OSASCO")}, "not UTF-8"),
        ({"amount": np.array([1.0, np.inf])}, "rows[1].amount"),
    ],
)
def test_tensors_that_are_not_those_of_the_model_are_refused(
    client: triton.InferenceServerClient, changed: dict[str, np.ndarray], said: str
) -> None:
    error = error_of(client, "transactions", two_rows(**changed))
    assert error.status() == "400"
    assert said in error.message()


def test_whole_files_are_the_rows_of_a_use_case_that_reads_files_of_its_own(
    client: triton.InferenceServerClient,
) -> None:
    files = tensor("file", texts("The senate votes on the bill.", "", "The team won the last game."))
    assert "1.txt: empty_file" in error_of(client, "topics", [files]).message()
    asked = outputs("prediction", "rejected", "file", "line")
    answer = client.infer("topics", [files, tensor("name", texts("a.txt", "b.txt", "c.txt"))], outputs=asked)
    assert answer.as_numpy("file").tolist() == [b"a.txt", b"b.txt", b"c.txt"]
    assert answer.as_numpy("line").tolist() == [1, 0, 1]
    assert [bool(text) for text in answer.as_numpy("prediction")] == [True, False, True]
    wrong = tensor("name", texts("a.txt", "b.csv", "c.txt"))
    assert "a name that does not end in .txt" in error_of(client, "topics", [files, wrong]).message()


def test_what_there_is_not_is_told_in_the_way_of_the_protocol(client: triton.InferenceServerClient) -> None:
    assert error_of(client, "nothing", two_rows()).status() == "404"
    assert error_of(client, "loan_approval", two_rows()).status() in ("400", "409")
    assert error_of(client, "transactions", two_rows(), model_version="99").status() == "404"
    packed = error_of(client, "transactions", two_rows(), request_compression_algorithm="gzip")
    assert packed.status() == "415"
    best = error_of(
        client, "transactions", two_rows(), outputs=[triton.InferRequestedOutput("prediction", class_count=2)]
    )
    assert best.status() == "400"
    none = error_of(client, "transactions", two_rows(), outputs=outputs("certainty"))
    assert "'certainty': there is no such output" in none.message()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"inputs": []}',
        b'{"inputs": [{"name": "a", "shape": [-1], "datatype": "FP64", "data": []}]}',
    ],
)
def test_a_body_that_is_no_request_is_a_problem_with_a_member_error(api: Api, body: bytes) -> None:
    answer = requests.post(f"{api.url}/v2/models/transactions/infer", body, timeout=60)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize("length", ["99999", "-1", "x", "0"])
def test_a_wrong_length_of_the_json_is_refused(api: Api, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    answer = requests.post(f"{api.url}/v2/models/transactions/infer", b"{}", headers=headers, timeout=60)
    assert answer.status_code == 400
