"""This file is what `mlflow server --app-name consentkeys` serves: MLflow's own app, which only people enter."""

from mlflow.server.fastapi_app import app

from ck_middleware.asgi import ASGIAuthMiddleware

__all__ = ["create_app"]


def create_app() -> ASGIAuthMiddleware:
    """For each worker of uvicorn, which MLflow starts by itself. The settings come from the environment."""
    return ASGIAuthMiddleware(app)
