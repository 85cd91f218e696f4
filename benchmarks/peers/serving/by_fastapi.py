"""FastAPI: a plain function, which it runs in its pool of threads; uvicorn's own workers are the processes."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


class Vectors(BaseModel):
    vectors: list[list[float]]


class Answer(BaseModel):
    prediction: list[int]
    probability: list[float]


app = FastAPI()
model = joblib.load(FOLDER / "model.joblib")


@app.post("/predict")
def predict(sent: Vectors) -> Answer:
    probabilities = model.predict_proba(np.array(sent.vectors))
    return Answer(prediction=probabilities.argmax(axis=1).tolist(), probability=probabilities.max(axis=1).tolist())


if __name__ == "__main__":
    _, _, port, processes = sys.argv
    target = app if processes == "1" else "by_fastapi:app"
    uvicorn.run(target, port=int(port), workers=int(processes), access_log=False, log_level="warning")
