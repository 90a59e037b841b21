"""Certificates that kcert may not have made: find them, read them, judge them, report on them."""
