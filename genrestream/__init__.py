"""Genrestream: streaming genre labels for events, podcasts and tracks."""

import os
from importlib.metadata import version

# ONNX Runtime 1.29 and newer send usage data home from Linux, unless this is set before its first import; the
# local Triton, whose backend runs it too, inherits it. Whoever wants to send sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# MLflow, which records trainings where that is asked for, does the same.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

__version__ = version("genrestream")
