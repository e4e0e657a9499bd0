"""A small world to try exeat in: a web server on loopback, and a name server that knows only hello.test.

Prints `DNS_PORT HTTP_PORT` when both listen, and serves until it is ended. Needs nothing but Python 3.
"""

import http.server
import socket
import struct
import threading


class Page(http.server.BaseHTTPRequestHandler):
    """One page, whatever the path."""

    def do_GET(self):
        body = b"Hello from the other side.\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def name_of(query):
    """The name and the type a query asks for, and where the question ends (RFC 1035 section 4.1.2)."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels), kind, at + 5


def answer(query):
    """127.0.0.1 for the address of hello.test, no such name for everything else."""
    name, kind, end = name_of(query)
    known = name == "hello.test"
    found = known and kind == 1
    flags = 0x8180 if known else 0x8183
    reply = query[:2] + struct.pack("!HHHHH", flags, 1, found, 0, 0) + query[12:end]
    if found:
        reply += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([127, 0, 0, 1])
    return reply


def serve_names(server):
    while True:
        query, peer = server.recvfrom(4096)
        try:
            server.sendto(answer(query), peer)
        except (IndexError, struct.error):
            pass  # Not a query: no answer.


def main():
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    threading.Thread(target=serve_names, args=(names,), daemon=True).start()
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    print(names.getsockname()[1], pages.server_address[1], flush=True)
    pages.serve_forever()


if __name__ == "__main__":
    main()
