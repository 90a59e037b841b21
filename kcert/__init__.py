"""kcert: the TLS certificates of a Kubernetes cluster, made and explained with openssl."""

__version__ = "0.2.0"
