"""Issue certificates: status, plan, execution (see ``kcert.issue.service``)."""
