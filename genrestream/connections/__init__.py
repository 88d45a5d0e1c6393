"""How Kafka, Redis and Triton are connected to: TLS and logins, from variables to the clients' arguments.

Certificates and host names are always verified; nothing turns that off.
"""
