"""Clusters of every make, healthy and sick, for the tests of whatever looks at certificates.

``issuing`` makes certificates with the ``cryptography`` package, in a millisecond each and as wrong as a test wants
them; ``kubeadm``, ``hardway`` and ``course`` lay them out as those clusters do; ``makers`` runs what people run:
easy-rsa, cfssl, and the openssl commands of two editions of the hard way.
"""
