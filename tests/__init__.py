"""Tests: they read as the specification."""
