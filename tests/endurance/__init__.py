"""Endurance: what happens to kcert a few times in a year, hundreds of times in a row.

``make endurance`` runs all of it and prints a table; ``make test`` runs a short form of the same code
(``tests/test_endurance.py``). A part is a function that makes trials; what is wrong with one stands in it, with
what repeats it.
"""
