"""The files that the rest of Kubernetes reads: kubeconfigs, component options, units, manifests, request objects."""
