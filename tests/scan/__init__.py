"""Finding, reading, showing and listing certificates that kcert did not make."""
