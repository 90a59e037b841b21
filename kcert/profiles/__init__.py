"""Which certificates a cluster needs: one module a profile, all of one shape."""
