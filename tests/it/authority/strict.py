"""`python strict.py HOST:PORT AGENT:TOKEN CA TARGET NAME`: TLS to TARGET through the proxy, verified as strictly as Python 3.13 does by itself."""

import base64
import socket
import ssl
import sys

proxy, credentials, ca, target, name = sys.argv[1:]
host, port = proxy.rsplit(":", 1)
plain = socket.create_connection((host, int(port)), timeout=20)
credentials = base64.b64encode(credentials.encode()).decode()
plain.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode())
answer = b""
while not answer.endswith(b"\r\n\r\n"):
    byte = plain.recv(1)
    if not byte:
        sys.exit(f"the proxy hung up after {answer}")
    answer += byte
if not answer.startswith(b"HTTP/1.1 200 "):
    sys.exit(f"{answer}")
# `load_verify_locations` alone: nothing else is trusted.
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
context.load_verify_locations(ca)
try:
    inside = context.wrap_socket(plain, server_hostname=name)
except ssl.SSLCertVerificationError as error:
    print(f"not verified: {error.verify_message}")
else:
    print(f"verified: {inside.getpeercert()['subjectAltName']}")
