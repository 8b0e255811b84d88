"""Loggers: TensorBoard, Weights & Biases, MLflow, CSV files, one of your own, or a function."""

from jaxrl.tracking.base import (
    LOGGERS,
    Callback,
    Logger,
    Tracked,
    by_member,
    numbers_of,
    register_logger,
    resolve_loggers,
    settings_of,
)
from jaxrl.tracking.lines import Tracking

__all__ = [
    "LOGGERS",
    "Callback",
    "Logger",
    "Tracked",
    "Tracking",
    "by_member",
    "numbers_of",
    "register_logger",
    "resolve_loggers",
    "settings_of",
]
