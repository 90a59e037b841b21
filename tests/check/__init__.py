"""The rules of ``kcert check``."""
