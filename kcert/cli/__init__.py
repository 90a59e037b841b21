"""The command line: one module a chapter; each reads options, calls one function and hands the result to view."""
