"""Certificates that kcert may not have made: find them, read them, report on them."""
