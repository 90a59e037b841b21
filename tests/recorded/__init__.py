"""Log files as real programs wrote them; ``record.py`` records them again."""
