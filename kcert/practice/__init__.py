"""Practice: small clusters with one thing broken, and checks of whether the repair works."""

OWN_FOLDER = ".practice"
"""The folder in a lab, or in an exam, where kcert keeps what it has to remember."""
