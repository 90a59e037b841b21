"""Practice: small clusters with one thing broken, and a judge who tries whether the repair works."""
