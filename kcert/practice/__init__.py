"""Practice: small clusters with one thing broken, and checks of whether the repair works."""

DEFAULT_FOLDER = "lab"
"""The folder of a lab, where no other is named."""

OWN_FOLDER = ".practice"
"""The folder in a lab, or in an exam, where kcert keeps what it has to remember."""
