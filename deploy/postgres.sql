-- Run once, when the database is new. Dagster and MLflow both have a table `runs`, so MLflow's tables lie apart.
CREATE SCHEMA IF NOT EXISTS mlflow;
