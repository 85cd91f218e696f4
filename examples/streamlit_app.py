"""A page of your own over the API, for those who know Streamlit: streamlit run examples/streamlit_app.py.

It asks the API and nothing else: `MLOPS_API` says where it is, `MLOPS_API_KEY` has a key where one is asked for. The
pages that `mlops-assets serve` brings do the same and more, and need no second server.
"""

import os

import pandas as pd
import requests
import streamlit as st

API = os.environ.get("MLOPS_API", "http://127.0.0.1:8000")
KEY = os.environ.get("MLOPS_API_KEY", "")


def ask(method: str, path: str, **more) -> requests.Response:
    """What the API answers."""
    headers = {"Authorization": f"Bearer {KEY}"} if KEY else {}
    return requests.request(method, f"{API}/v1/use-cases{path}", headers=headers, timeout=60, **more)


def told(answer: requests.Response) -> dict:
    """What an answer says; what is wrong is shown, and nothing after it."""
    said = answer.json()
    if not answer.ok:
        st.error(said["detail"])
        for one in said.get("errors", []):
            st.write(f"`{one['where']}`: {one['message']}")
        st.stop()
    return said


def example(use_case: dict) -> pd.DataFrame:
    """An empty row: numbers are typed as numbers, everything else as text."""
    columns = {one["name"]: one["type"] for one in use_case["contract"]["columns"]}
    columns.pop(use_case["contract"]["label"])
    kinds = {name: "float" if kind in ("number", "integer") else "object" for name, kind in columns.items()}
    return pd.DataFrame({name: pd.Series([None], dtype=kind) for name, kind in kinds.items()})


def show(answer: dict) -> None:
    """Predictions and rejects of each file, side by side with their lines."""
    st.caption(f"Version {answer['version']} answered.")
    for file in answer["files"]:
        st.subheader(file["file"])
        st.write(f"{file['lines']:,} lines = {file['rows']:,} rows + {file['rejected']:,} rejected")
        st.dataframe(pd.DataFrame(file["predictions"]), hide_index=True)
        if file["rejects"]:
            st.dataframe(pd.DataFrame(file["rejects"]), hide_index=True)
    rows = [{"file": file["file"], **row} for file in answer["files"] for row in file["predictions"]]
    st.download_button("Download as CSV", pd.DataFrame(rows).to_csv(index=False), "predictions.csv", "text/csv")
    if rows:
        st.bar_chart(pd.Series([row["prediction"] for row in rows], name="rows").value_counts())


st.title("Try it")
names = [one["name"] for one in told(ask("GET", ""))["use_cases"]]
name = st.selectbox("Use case", names, index=names.index("transactions") if "transactions" in names else 0)
use_case = told(ask("GET", f"/{name}"))
st.write(use_case["description"])
if use_case["champion"] is None:
    st.warning(use_case["why_none"])
files = st.file_uploader("Files", accept_multiple_files=True)
if files:
    sent = [("file", (file.name, file.getvalue())) for file in files]
    show(told(ask("POST", f"/{name}/predictions", files=sent)))
st.write("Or fill in rows:")
rows = st.data_editor(example(use_case), num_rows="dynamic")
if st.button("Predict"):
    # a table has every column; of a text or a record, what is not known is left out
    is_table = use_case["contract"]["files"]["suffix"] == ".csv"
    known = [{key: value if pd.notna(value) else None for key, value in row.items()} for row in rows.to_dict("records")]
    values = [{key: value for key, value in row.items() if is_table or value is not None} for row in known]
    show(told(ask("POST", f"/{name}/predictions", json={"files": [{"rows": values}]})))
