"""Benchmarks: ``make bench`` runs them all and prints one table; nothing here is part of the tests."""
