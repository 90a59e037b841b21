"""Practice: small clusters with one thing broken, and a judge who tries whether the repair works."""

OWN_FOLDER = ".practice"
"""The folder in a lab, or in an exam, where kcert keeps what it has to remember."""
