"""All that knows openssl: its version, cnf files from templates, argv, and reading what it prints."""
