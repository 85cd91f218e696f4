"""The command as a module: `python -m mlops_assets.cli`, for processes that are started by others of ours."""

from mlops_assets.cli import process

if __name__ == "__main__":
    process()
