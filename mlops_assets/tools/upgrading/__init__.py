"""What earlier versions wrote, brought into the form of today: Dagster's store, MLflow's, and ours."""
