"""Prometheus' configuration and alert rules, Grafana's provisioning, and the generated dashboard."""
