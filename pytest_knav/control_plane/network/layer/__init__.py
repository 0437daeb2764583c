"""
The process that hurts single requests of the Kubernetes API: `python -m` this package.

It needs nothing but the standard library, and speaks HTTP/1.1 alone: client-go takes
that when a server offers no h2 by ALPN (RFC 7301), and then opens a connection for each
watch.
"""
