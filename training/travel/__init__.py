"""Trainings on a machine without network: what goes there and what comes back."""
