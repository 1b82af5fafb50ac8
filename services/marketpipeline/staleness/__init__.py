"""The staleness check: a command that a platform runs every few minutes to find symbols without recent data."""
