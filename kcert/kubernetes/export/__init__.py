"""From a PKI folder to what takes over from kcert: one module a target, with a function ``export``."""
