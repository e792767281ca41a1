import ssl
print(ssl.OPENSSL_VERSION, ssl.create_default_context().verify_mode, len(ssl.RAND_bytes(8)))
