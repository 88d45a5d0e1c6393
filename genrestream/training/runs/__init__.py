"""Recorded runs: what trainings were asked for and what they found, kept by MLflow.

`place` what an address names · `client`, `store` MLflow, which no other file knows · `contents` what a run
holds · `origin` the sets' bytes and the code's commit · `recording` a training as a run, begun, and then
finished or failed.
"""
