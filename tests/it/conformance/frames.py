"""Cases of RFC 9113 and RFC 7541 against a server of HTTP/2, each with what the section demands: raw frames within TLS, straight or through a proxy.

Prints a line a case: section, name, `pass` or `fail`, and what was seen. The sections and the cases follow the list that h2spec made its own.
"""

import argparse
import base64
import concurrent.futures
import socket
import ssl
import struct
import sys

import hpack

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
NO, PROTOCOL, INTERNAL, FLOW, TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION = range(10)
ENHANCE = 11
CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
         "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CASES = []
ways = argparse.Namespace()


def case(section, name):
    def keep(function):
        CASES.append((section, name, function))
        return function
    return keep


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def setting(identifier, value):
    return struct.pack(">HI", identifier, value)


def u32(value):
    return struct.pack(">I", value)


class Seen:
    """A frame that came, or the end."""

    def __init__(self, kind, flags=0, stream=0, payload=b""):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    def __str__(self):
        if self.kind == "end":
            return "closed"
        if self.kind == "silence":
            return "nothing"
        if self.kind == GOAWAY:
            return "GOAWAY " + name_of(self.payload[4:8])
        if self.kind == RST:
            return "RST_STREAM " + name_of(self.payload)
        return ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"][self.kind]


def name_of(code):
    number = struct.unpack(">I", code)[0]
    return CODES[number] if number < len(CODES) else hex(number)


class Conn:
    """A connection of HTTP/2, its own settings sent and the peer's acknowledged unless told otherwise."""

    def __init__(self, settings=b"", greet=True):
        self.socket = connect()
        self.encoder, self.decoder, self.ahead = hpack.Encoder(), hpack.Decoder(), b""
        self.peer = {}
        if greet:
            self.send(PREFACE + frame(SETTINGS, payload=settings))
            while True:
                seen = self.next()
                if seen.kind == SETTINGS and not seen.flags & ACK:
                    for at in range(0, len(seen.payload), 6):
                        key, value = struct.unpack(">HI", seen.payload[at:at + 6])
                        self.peer[key] = value
                    self.send(frame(SETTINGS, ACK))
                    break
                if seen.kind in ("end", "silence"):
                    raise AssertionError(f"no SETTINGS but {seen}")

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def next(self, patience=None):
        self.socket.settimeout(patience or ways.patience)
        while True:
            if len(self.ahead) >= 9:
                length = int.from_bytes(self.ahead[:3], "big")
                if len(self.ahead) >= 9 + length:
                    kind, flags = self.ahead[3], self.ahead[4]
                    stream = int.from_bytes(self.ahead[5:9], "big") & 0x7FFFFFFF
                    payload, self.ahead = self.ahead[9:9 + length], self.ahead[9 + length:]
                    return Seen(kind, flags, stream, payload)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return Seen("silence")
            except OSError:
                return Seen("end")
            if not data:
                return Seen("end")
            self.ahead += data

    def block(self, *more, method="GET", path="/page", without=(), first=()):
        head = [(":method", method), (":scheme", "https"), (":path", path), (":authority", f"{ways.host}:{ways.port}")]
        return self.encoder.encode(list(first) + [field for field in head if field[0] not in without] + list(more))

    def ask(self, stream=1, flags=END_HEADERS | END_STREAM, block=None, **keys):
        self.send(frame(HEADERS, flags, stream, self.block(**keys) if block is None else block))

    def answer(self, stream=1):
        """The status and length of an answer, or what came in its place."""
        status, length = None, 0
        while True:
            seen = self.next()
            if seen.kind in ("end", "silence", GOAWAY):
                return status, str(seen)
            if seen.kind in (HEADERS, CONTINUATION):
                if seen.kind == HEADERS:
                    self.partial = b""
                fields = seen.payload
                if seen.flags & PADDED and seen.kind == HEADERS:
                    fields = fields[1:len(fields) - fields[0]]
                self.partial += fields
                if seen.flags & END_HEADERS:
                    decoded = dict(self.decoder.decode(self.partial))
                    if seen.stream == stream and ":status" in decoded:
                        status = int(decoded[":status"])
            if seen.stream != stream:
                continue
            if seen.kind == RST:
                return status, str(seen)
            if seen.kind == DATA:
                length += len(seen.payload)
                if status and status >= 500:
                    raise AssertionError(f"{status} {seen.payload[:400]!r}")
            if seen.kind in (DATA, HEADERS) and seen.flags & END_STREAM:
                return status, length

    def until(self, *kinds):
        while True:
            seen = self.next()
            if seen.kind in kinds or seen.kind in ("end", "silence"):
                return seen


def connect():
    context = ssl.create_default_context(cafile=ways.ca)
    context.set_alpn_protocols(["h2"])
    if ways.proxy:
        host, port = ways.proxy.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=20)
        credentials = base64.b64encode(ways.credentials.encode()).decode()
        plain.sendall(f"CONNECT {ways.host}:{ways.port} HTTP/1.1\r\nHost: {ways.host}:{ways.port}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = plain.recv(1)
            if not byte:
                break
            head += byte
        if not head.startswith(b"HTTP/1.1 200"):
            raise AssertionError(f"the proxy refused: {head!r}")
    else:
        plain = socket.create_connection(("127.0.0.1", ways.port), timeout=20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    secured = context.wrap_socket(plain, server_hostname=ways.host)
    if secured.selected_alpn_protocol() != "h2":
        raise AssertionError(f"ALPN gave {secured.selected_alpn_protocol()}")
    return secured


# What is demanded.

def ok(conn, stream=1, status=200):
    got = conn.answer(stream)
    return got[0] == status and isinstance(got[1], int), f"{got[0]} and {got[1]} bytes" if isinstance(got[1], int) else f"{got[0]} then {got[1]}"


def connection_error(conn, *codes):
    """GOAWAY with one of the codes, or the end of the connection (section 5.4.1 lets GOAWAY be lost)."""
    while True:
        seen = conn.next()
        if seen.kind == GOAWAY:
            return struct.unpack(">I", seen.payload[4:8])[0] in codes, str(seen)
        if seen.kind in ("end", "silence"):
            return seen.kind == "end", str(seen)


def stream_error(conn, *codes, stream=1):
    """RST_STREAM or GOAWAY with one of the codes, or the end of the connection."""
    while True:
        seen = conn.next()
        if seen.kind == GOAWAY:
            return struct.unpack(">I", seen.payload[4:8])[0] in codes, str(seen)
        if seen.kind == RST and seen.stream == stream:
            return struct.unpack(">I", seen.payload)[0] in codes, str(seen)
        if seen.kind in ("end", "silence"):
            return seen.kind == "end", str(seen)


def malformed(conn, stream=1):
    """A stream error, or a refusal as an answer (section 8.1.1 lets a server answer before it resets)."""
    got = conn.answer(stream)
    if isinstance(got[0], int):
        return 400 <= got[0] < 500, str(got[0])
    return got[1] in ("RST_STREAM PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR", "closed"), got[1]


def ignored(conn):
    """What came before changes nothing: a PING is answered."""
    conn.send(frame(PING, payload=b"ignored?"))
    while True:
        seen = conn.next()
        if seen.kind == PING and seen.flags & ACK and seen.payload == b"ignored?":
            return True, "PING answered"
        if seen.kind in ("end", "silence", GOAWAY):
            return False, str(seen)
