"""Tests of kubeconfigs, component options, bundles and calls: each against the real programs that read them."""
