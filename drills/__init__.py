"""Fault drills: what becomes of every item while servers and workers are killed under load."""
