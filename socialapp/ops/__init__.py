"""For operators: health, metrics, dashboards and management commands."""
