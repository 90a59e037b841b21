"""The files that the rest of Kubernetes reads: kubeconfigs, component options, units, manifests, request objects."""

from pathlib import Path

FAILURES = Path(__file__).parent / "failures.yaml"
"""The errors of kubectl, curl and the API server, and what to do about each."""

TEMPLATES = Path(__file__).parent / "templates"
"""The files that kcert fills in for hosts and clusters."""
