"""The papers' tables and figures, one module an experiment."""
