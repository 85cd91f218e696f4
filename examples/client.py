"""Ask the API for predictions of files: python examples/client.py transactions some.csv other.csv."""

import os
import sys
import time
from pathlib import Path

import requests

API = os.environ.get("MLOPS_API", "http://127.0.0.1:8000")
KEY = os.environ.get("MLOPS_API_KEY", "")  # where one is asked for


def predict(use_case: str, paths: list[str]) -> list[dict]:
    """What became of each file; where the server has too much to do, ask again when it says."""
    files = [("file", (Path(path).name, Path(path).read_bytes())) for path in paths]
    headers = {"Authorization": f"Bearer {KEY}"} if KEY else {}
    while True:
        answer = requests.post(f"{API}/v1/use-cases/{use_case}/predictions", files=files, headers=headers, timeout=60)
        if answer.ok:
            return answer.json()["files"]
        if "Retry-After" not in answer.headers:
            raise SystemExit(answer.text)
        time.sleep(float(answer.headers["Retry-After"]))


for file in predict(sys.argv[1], sys.argv[2:]):
    print(f"{file['file']}: {file['rows']} rows, {file['rejected']} rejected")
    for row in file["predictions"]:
        print(f"  line {row['line']}: {row['prediction']} ({row['probability']:.3f})")
