"""The files that the rest of Kubernetes reads: kubeconfigs, component options, units, manifests, request objects."""

from pathlib import Path

FAILURES = Path(__file__).parent / "failures.yaml"
"""What kubectl, curl and the API server say when something fails, and what to do about it."""

TEMPLATES = Path(__file__).parent / "templates"
"""The files that kcert fills in for hosts and clusters."""
