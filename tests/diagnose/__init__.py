"""Tests of kcert diagnose and kcert logs."""
