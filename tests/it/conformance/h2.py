"""The cases: `python h2.py --ca FILE --host NAME --port PORT [--proxy HOST:PORT --credentials AGENT:TOKEN] [--only WORD]`. See `frames.py`."""

import argparse
import concurrent.futures

from frames import *
from frames import CASES, ways

OVER = "x" * 16385


# Generic: what every server has to take.

@case("generic/1", "the preface is answered with SETTINGS")
def _():
    return True, f"{len(Conn().peer)} settings"


@case("generic/2", "PRIORITY on an idle stream")
def _():
    conn = Conn()
    conn.send(frame(PRIORITY, 0, 1, u32(0) + b"\x0f"))
    conn.ask()
    return ok(conn)


@case("generic/2", "WINDOW_UPDATE on a half-closed stream")
def _():
    conn = Conn()
    conn.ask()
    conn.send(frame(WINDOW, 0, 1, u32(1)))
    return ok(conn)


@case("generic/2", "RST_STREAM on a half-closed stream")
def _():
    conn = Conn()
    conn.ask(path="/late/never")
    conn.send(frame(RST, 0, 1, u32(CANCEL)))
    return ignored(conn)


@case("generic/2", "PRIORITY on a closed stream")
def _():
    conn = Conn()
    conn.ask()
    first = ok(conn)
    conn.send(frame(PRIORITY, 0, 1, u32(0) + b"\x0f"))
    return ignored(conn) if first[0] else first


def post(conn, *pieces, padded=False, trailers=False, **keys):
    conn.ask(flags=END_HEADERS, method="POST", path="/up", **keys)
    for index, piece in enumerate(pieces):
        last = END_STREAM if index == len(pieces) - 1 and not trailers else 0
        conn.send(frame(DATA, last | (PADDED if padded else 0), 1, (b"\x05" + piece + bytes(5)) if padded else piece))
    if trailers:
        conn.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, conn.encoder.encode([("x-checked", "yes")])))
    return ok(conn)


@case("generic/3.1", "one DATA frame")
def _():
    return post(Conn(), b"test")


@case("generic/3.1", "several DATA frames")
def _():
    return post(Conn(), b"test", b"test")


@case("generic/3.1", "DATA with padding")
def _():
    return post(Conn(), b"test", padded=True)


@case("generic/3.2", "HEADERS with padding")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS | END_STREAM | PADDED, block=b"\x05" + conn.block() + bytes(5))
    return ok(conn)


@case("generic/3.2", "HEADERS with a priority")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS | END_STREAM | WITH_PRIORITY, block=u32(0) + b"\xff" + conn.block())
    return ok(conn)


for weight in (0, 255):
    @case("generic/3.3", f"PRIORITY with weight {weight + 1}")
    def _(weight=weight):
        conn = Conn()
        conn.send(frame(PRIORITY, 0, 1, u32(0) + bytes([weight])))
        conn.ask()
        return ok(conn)


@case("generic/3.3", "PRIORITY, exclusive, on another idle stream")
def _():
    conn = Conn()
    conn.send(frame(PRIORITY, 0, 5, u32(0x80000000 | 3) + b"\x0f"))
    conn.ask()
    return ok(conn)


@case("generic/3.7", "PING")
def _():
    return ignored(Conn())


@case("generic/3.8", "GOAWAY from the agent, and the stream that is open ends well")
def _():
    conn = Conn()
    conn.ask()
    conn.send(frame(GOAWAY, 0, 0, u32(0) + u32(NO)))
    return ok(conn)


@case("generic/3.9", "WINDOW_UPDATE of the connection and of a stream")
def _():
    conn = Conn()
    conn.send(frame(WINDOW, 0, 0, u32(1)))
    conn.ask()
    conn.send(frame(WINDOW, 0, 1, u32(1)))
    return ok(conn)


@case("generic/3.10", "CONTINUATION, one and several")
def _():
    conn = Conn()
    block = conn.block(("x-own", "1"))
    conn.send(frame(HEADERS, END_STREAM, 1, block[:4]) + frame(CONTINUATION, 0, 1, block[4:8]) + frame(CONTINUATION, END_HEADERS, 1, block[8:]))
    return ok(conn)


@case("generic/4", "HEAD")
def _():
    conn = Conn()
    conn.ask(method="HEAD")
    return ok(conn)


@case("generic/4", "POST with trailers")
def _():
    return post(Conn(), b"test", trailers=True)


@case("generic/4", "an empty DATA frame ends a request")
def _():
    return post(Conn(), b"")


# RFC 9113.

@case("http2/3.4", "an invalid preface")
def _():
    conn = Conn(greet=False)
    conn.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
    return connection_error(conn, PROTOCOL)


@case("http2/3.4", "a preface without SETTINGS")
def _():
    conn = Conn(greet=False)
    conn.send(PREFACE + frame(PING, payload=bytes(8)))
    return connection_error(conn, PROTOCOL)


@case("http2/4.1", "a frame of an unknown type")
def _():
    conn = Conn()
    conn.send(frame(0x16, 0, 0, bytes(8)))
    return ignored(conn)


@case("http2/4.1", "flags without a meaning")
def _():
    conn = Conn()
    conn.send(frame(PING, 0x16, 0, b"ignored!"))
    return ignored(conn)


@case("http2/4.1", "the reserved bit")
def _():
    conn = Conn()
    conn.send(frame(PING, 0, 0x80000000, b"ignored!"))
    return ignored(conn)


@case("http2/4.2", "DATA of 16,384 bytes")
def _():
    return post(Conn(), bytes(16384))


@case("http2/4.2", "DATA that is too large")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, method="POST", path="/up")
    conn.send(frame(DATA, END_STREAM, 1, bytes(conn.peer.get(5, 16384) + 1)))
    return stream_error(conn, SIZE)


@case("http2/4.2", "HEADERS that are too large")
def _():
    conn = Conn()
    fields = [(f"x-{index}", "v" * 4000) for index in range(conn.peer.get(5, 16384) // 4000 + 2)]
    conn.ask(block=hpack_plain(conn.block(), fields))
    return connection_error(conn, SIZE)


def hpack_plain(block, fields):
    """Literals without Huffman, so that the length is what it is."""
    return block + b"".join(b"\x00" + string(name) + string(value) for name, value in fields)


def string(text):
    text = text.encode()
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, out = len(text) - 127, b"\x7f"
    while rest >= 128:
        out += bytes([rest % 128 | 128])
        rest //= 128
    return out + bytes([rest]) + text


@case("http2/4.3", "a field block that cannot be read")
def _():
    conn = Conn()
    conn.ask(block=b"\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")
    return connection_error(conn, COMPRESSION, PROTOCOL)


@case("http2/4.3", "PRIORITY within a field block")
def _():
    conn = Conn()
    conn.send(frame(HEADERS, END_STREAM, 1, conn.block()) + frame(PRIORITY, 0, 1, u32(0) + b"\x0f"))
    return connection_error(conn, PROTOCOL)


@case("http2/4.3", "HEADERS of another stream within a field block")
def _():
    conn = Conn()
    conn.send(frame(HEADERS, END_STREAM, 1, conn.block()) + frame(HEADERS, END_HEADERS | END_STREAM, 3, conn.block()))
    return connection_error(conn, PROTOCOL)


for name, data in [("DATA", frame(DATA, END_STREAM, 1, b"test")), ("RST_STREAM", frame(RST, 0, 1, u32(CANCEL))), ("WINDOW_UPDATE", frame(WINDOW, 0, 1, u32(100))),
                   ("CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, b"\x82"))]:
    @case("http2/5.1", f"{name} on an idle stream")
    def _(data=data):
        conn = Conn()
        conn.send(data)
        return connection_error(conn, PROTOCOL)


def again(conn, kind, end=True):
    if kind == "DATA":
        return frame(DATA, END_STREAM, 1, b"test")
    if kind == "HEADERS":
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, conn.block())
    return frame(CONTINUATION, END_HEADERS, 1, conn.block())


for kind in ("DATA", "HEADERS", "CONTINUATION"):
    codes = (CLOSED,) if kind != "CONTINUATION" else (PROTOCOL, CLOSED)

    @case("http2/5.1", f"{kind} on a half-closed stream")
    def _(kind=kind, codes=codes):
        conn = Conn()
        conn.ask(path="/late/never")
        conn.send(again(conn, kind))
        return stream_error(conn, *codes)

    @case("http2/5.1", f"{kind} after RST_STREAM")
    def _(kind=kind, codes=codes):
        conn = Conn()
        conn.ask(flags=END_HEADERS, method="POST", path="/late/never")
        conn.send(frame(RST, 0, 1, u32(CANCEL)) + again(conn, kind))
        return stream_error(conn, *codes)

    @case("http2/5.1", f"{kind} on a closed stream")
    def _(kind=kind, codes=codes):
        conn = Conn()
        conn.ask()
        first = ok(conn)
        conn.send(again(conn, kind))
        return stream_error(conn, *codes) if first[0] else first


@case("http2/5.1.1", "an even stream")
def _():
    conn = Conn()
    conn.ask(stream=2)
    return connection_error(conn, PROTOCOL)


@case("http2/5.1.1", "a stream below the last")
def _():
    conn = Conn()
    conn.ask(stream=5)
    ok(conn, 5)
    conn.ask(stream=3)
    return connection_error(conn, PROTOCOL, CLOSED)


@case("http2/5.1.2", "more streams than the peer allows")
def _():
    conn = Conn()
    most = conn.peer.get(3)
    if not most or most > 2000:
        return False, f"SETTINGS_MAX_CONCURRENT_STREAMS is {most}"
    for index in range(most + 1):
        conn.ask(stream=1 + 2 * index, path="/late/never")
    return stream_error(conn, PROTOCOL, REFUSED, stream=1 + 2 * most)


@case("http2/5.4.1", "an invalid PING ends the connection")
def _():
    conn = Conn()
    conn.send(frame(PING, 0, 0, b"\0\0\0"))
    return connection_error(conn, SIZE)


@case("http2/5.5", "an extension frame within a field block")
def _():
    conn = Conn()
    conn.send(frame(HEADERS, END_STREAM, 1, conn.block()) + frame(0x16, 0, 0, bytes(8)))
    return connection_error(conn, PROTOCOL)


@case("http2/6.1", "DATA of stream 0")
def _():
    conn = Conn()
    conn.send(frame(DATA, END_STREAM, 0, b"test"))
    return connection_error(conn, PROTOCOL)


@case("http2/6.1", "DATA with more padding than there is room")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, method="POST", path="/up")
    conn.send(frame(DATA, END_STREAM | PADDED, 1, b"\x06test"))
    return connection_error(conn, PROTOCOL)


@case("http2/6.2", "HEADERS of stream 0")
def _():
    conn = Conn()
    conn.ask(stream=0)
    return connection_error(conn, PROTOCOL)


@case("http2/6.2", "HEADERS with more padding than there is room")
def _():
    conn = Conn()
    block = conn.block()
    conn.ask(flags=END_HEADERS | END_STREAM | PADDED, block=bytes([255]) + block)
    return connection_error(conn, PROTOCOL)


@case("http2/6.3", "PRIORITY of stream 0")
def _():
    conn = Conn()
    conn.send(frame(PRIORITY, 0, 0, u32(0) + b"\x0f"))
    return connection_error(conn, PROTOCOL)


@case("http2/6.3", "PRIORITY of another length")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, method="POST", path="/up")
    conn.send(frame(PRIORITY, 0, 1, u32(0)))
    return stream_error(conn, SIZE)


@case("http2/6.4", "RST_STREAM of stream 0")
def _():
    conn = Conn()
    conn.send(frame(RST, 0, 0, u32(CANCEL)))
    return connection_error(conn, PROTOCOL)


@case("http2/6.4", "RST_STREAM of another length")
def _():
    conn = Conn()
    conn.ask(path="/late/never")
    conn.send(frame(RST, 0, 1, b"\0\0\0"))
    return connection_error(conn, SIZE)


for name, data, code in [
    ("an acknowledgement with a payload", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    ("SETTINGS of a stream", frame(SETTINGS, 0, 1, setting(3, 100)), PROTOCOL),
    ("SETTINGS of a length that is no multiple of 6", frame(SETTINGS, 0, 0, bytes(3)), SIZE),
    ("ENABLE_PUSH of 2", frame(SETTINGS, 0, 0, setting(2, 2)), PROTOCOL),
    ("INITIAL_WINDOW_SIZE above 2^31-1", frame(SETTINGS, 0, 0, setting(4, 1 << 31)), FLOW),
    ("MAX_FRAME_SIZE below 2^14", frame(SETTINGS, 0, 0, setting(5, 16383)), PROTOCOL),
    ("MAX_FRAME_SIZE above 2^24-1", frame(SETTINGS, 0, 0, setting(5, 1 << 24)), PROTOCOL),
]:
    @case("http2/6.5", name)
    def _(data=data, code=code):
        conn = Conn()
        conn.send(data)
        return connection_error(conn, code)


@case("http2/6.5.2", "a setting without a meaning")
def _():
    conn = Conn()
    conn.send(frame(SETTINGS, 0, 0, setting(0xff, 1)))
    return ignored(conn)


@case("http2/6.5.3", "SETTINGS are acknowledged")
def _():
    conn = Conn()
    conn.send(frame(SETTINGS))
    count = 0
    while True:
        seen = conn.next()
        if seen.kind == SETTINGS and seen.flags & ACK:
            count += 1
            if count == 2:
                return True, "acknowledged"
        if seen.kind in ("end", "silence", GOAWAY):
            return False, str(seen)


@case("http2/6.5.3", "the last of two values counts")
def _():
    conn = Conn(settings=setting(4, 100) + setting(4, 1))
    conn.ask()
    seen = conn.until(DATA)
    return seen.kind == DATA and len(seen.payload) == 1, f"{seen} of {len(seen.payload)}"


@case("http2/6.6", "PUSH_PROMISE from an agent")
def _():
    conn = Conn()
    conn.send(frame(PUSH, END_HEADERS, 1, u32(2) + conn.block()))
    return connection_error(conn, PROTOCOL)


@case("http2/6.7", "an acknowledgement of PING is not answered")
def _():
    conn = Conn()
    conn.send(frame(PING, ACK, 0, b"invalid!"))
    return ignored(conn)


@case("http2/6.7", "PING of a stream")
def _():
    conn = Conn()
    conn.send(frame(PING, 0, 1, bytes(8)))
    return connection_error(conn, PROTOCOL)


@case("http2/6.7", "PING of another length")
def _():
    conn = Conn()
    conn.send(frame(PING, 0, 0, bytes(6)))
    return connection_error(conn, SIZE)


@case("http2/6.8", "GOAWAY of a stream")
def _():
    conn = Conn()
    conn.send(frame(GOAWAY, 0, 1, u32(0) + u32(NO)))
    return connection_error(conn, PROTOCOL)


@case("http2/6.9", "WINDOW_UPDATE of 0, of the connection")
def _():
    conn = Conn()
    conn.send(frame(WINDOW, 0, 0, u32(0)))
    return connection_error(conn, PROTOCOL)


@case("http2/6.9", "WINDOW_UPDATE of 0, of a stream")
def _():
    conn = Conn()
    conn.ask(path="/late/never")
    conn.send(frame(WINDOW, 0, 1, u32(0)))
    return stream_error(conn, PROTOCOL)


@case("http2/6.9", "WINDOW_UPDATE of another length")
def _():
    conn = Conn()
    conn.send(frame(WINDOW, 0, 0, b"\0\0\0"))
    return connection_error(conn, SIZE)


@case("http2/6.9.1", "no more DATA than the window")
def _():
    conn = Conn(settings=setting(4, 1))
    conn.ask()
    seen = conn.until(DATA)
    return seen.kind == DATA and len(seen.payload) == 1, f"{seen} of {len(seen.payload)}"


@case("http2/6.9.1", "windows of the connection above 2^31-1")
def _():
    conn = Conn()
    conn.send(frame(WINDOW, 0, 0, u32(0x7fffffff)) * 2)
    return connection_error(conn, FLOW)


@case("http2/6.9.1", "windows of a stream above 2^31-1")
def _():
    conn = Conn()
    conn.ask(path="/late/never")
    conn.send(frame(WINDOW, 0, 1, u32(0x7fffffff)) * 2)
    return stream_error(conn, FLOW)


@case("http2/6.9.2", "a window that grows by SETTINGS")
def _():
    conn = Conn(settings=setting(4, 0))
    conn.ask()
    conn.until(HEADERS)
    conn.send(frame(SETTINGS, 0, 0, setting(4, 1)))
    seen = conn.until(DATA)
    return seen.kind == DATA and len(seen.payload) == 1, f"{seen} of {len(seen.payload)}"


@case("http2/6.9.2", "a window that SETTINGS made negative")
def _():
    conn = Conn(settings=setting(4, 3))
    conn.ask()
    first = conn.until(DATA)
    conn.send(frame(SETTINGS, 0, 0, setting(4, 2)) + frame(WINDOW, 0, 1, u32(2)))
    seen = conn.until(DATA)
    return len(first.payload) == 3 and len(seen.payload) == 1, f"{len(first.payload)}, then {len(seen.payload)}"


@case("http2/6.10", "CONTINUATION, then another frame within the block")
def _():
    conn = Conn()
    block = conn.block()
    conn.send(frame(HEADERS, END_STREAM, 1, block[:2]) + frame(CONTINUATION, 0, 1, block[2:]) + frame(DATA, END_STREAM, 1, b"test"))
    return connection_error(conn, PROTOCOL)


@case("http2/6.10", "CONTINUATION of stream 0")
def _():
    conn = Conn()
    block = conn.block()
    conn.send(frame(HEADERS, END_STREAM, 1, block[:2]) + frame(CONTINUATION, END_HEADERS, 0, block[2:]))
    return connection_error(conn, PROTOCOL)


@case("http2/6.10", "CONTINUATION after a block that has ended")
def _():
    conn = Conn()
    conn.ask(path="/late/never")
    conn.send(frame(CONTINUATION, END_HEADERS, 1, conn.block(("x-own", "1"))))
    return connection_error(conn, PROTOCOL, CLOSED)


@case("http2/6.10", "CONTINUATION after DATA")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, method="POST", path="/up")
    conn.send(frame(DATA, 0, 1, b"test") + frame(CONTINUATION, END_HEADERS, 1, conn.block(("x-own", "1"))))
    return connection_error(conn, PROTOCOL)


@case("http2/7", "GOAWAY with an unknown code")
def _():
    conn = Conn()
    conn.send(frame(GOAWAY, 0, 0, u32(0) + u32(0xff)))
    conn.send(frame(PING, payload=bytes(8)))
    seen = conn.until(PING, GOAWAY)
    return seen.kind != "silence", str(seen)


@case("http2/7", "RST_STREAM with an unknown code")
def _():
    conn = Conn()
    conn.ask(path="/late/never")
    conn.send(frame(RST, 0, 1, u32(0xff)))
    return ignored(conn)


@case("http2/8.1", "a second HEADERS that does not end the stream")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, method="POST", path="/up")
    conn.send(frame(HEADERS, END_HEADERS, 1, conn.encoder.encode([("x-checked", "yes")])))
    return malformed(conn)


BAD = [
    ("http2/8.2", "a field name in capitals", dict(more=[("X-Own", "1")], raw=True)),
    ("http2/8.2.1", "a field name with a blank", dict(more=[("x own", "1")])),
    ("http2/8.2.1", "a field name with a colon", dict(more=[("x:own", "1")])),
    ("http2/8.2.1", "a field value with NUL", dict(more=[("x-own", "a\0b")])),
    ("http2/8.2.1", "a field value with CR LF", dict(more=[("x-own", "a\r\nx-two: b")])),
    ("http2/8.2.2", "Connection", dict(more=[("connection", "keep-alive")])),
    ("http2/8.2.2", "Keep-Alive", dict(more=[("keep-alive", "timeout=5")])),
    ("http2/8.2.2", "Proxy-Connection", dict(more=[("proxy-connection", "keep-alive")])),
    ("http2/8.2.2", "Transfer-Encoding", dict(more=[("transfer-encoding", "chunked")])),
    ("http2/8.2.2", "Upgrade", dict(more=[("upgrade", "h2c")])),
    ("http2/8.2.2", "TE with another value than trailers", dict(more=[("te", "trailers, deflate")])),
    ("http2/8.3", "a pseudo-field without a meaning", dict(first=[(":test", "ok")])),
    ("http2/8.3", "the pseudo-field of an answer", dict(first=[(":status", "200")])),
    ("http2/8.3", "a pseudo-field after the others", dict(more=[("x-own", "1"), (":path", "/page")], without=[":path"])),
    ("http2/8.3.1", "no :method", dict(without=[":method"])),
    ("http2/8.3.1", "no :scheme", dict(without=[":scheme"])),
    ("http2/8.3.1", "no :path", dict(without=[":path"])),
    ("http2/8.3.1", "an empty :path", dict(path="")),
    ("http2/8.3.1", "a :path that does not begin with /", dict(path="page")),
    ("http2/8.3.1", ":method twice", dict(first=[(":method", "GET")])),
    ("http2/8.3.1", ":scheme twice", dict(first=[(":scheme", "https")])),
    ("http2/8.3.1", ":path twice", dict(first=[(":path", "/page")])),
    ("http2/8.3.1", ":authority twice", dict(first=[(":authority", "web.test")])),
    ("http2/8.3.1", "userinfo in :authority", dict(first=[(":authority", "a:b@web.test")], without=[":authority"])),
    ("http2/8.3.1", "Host other than :authority", dict(more=[("host", "other.test")])),
]

for section, name, keys in BAD:
    @case(section, name)
    def _(keys=keys):
        conn = Conn()
        keys = dict(keys)
        more, raw = keys.pop("more", []), keys.pop("raw", False)
        conn.ask(block=hpack_plain(conn.block(**keys), more))
        return malformed(conn)


@case("http2/8.1", "a pseudo-field in trailers")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, method="POST", path="/up")
    conn.send(frame(DATA, 0, 1, b"test") + frame(HEADERS, END_HEADERS | END_STREAM, 1, conn.encoder.encode([(":method", "POST")])))
    return malformed(conn)


for pieces in ([b"test"], [b"test", b"test"]):
    @case("http2/8.1.1", f"a content-length that {len(pieces)} DATA do not add up to")
    def _(pieces=pieces):
        conn = Conn()
        conn.ask(flags=END_HEADERS, block=conn.block(("content-length", "1"), method="POST", path="/up"))
        for index, piece in enumerate(pieces):
            conn.send(frame(DATA, END_STREAM if index == len(pieces) - 1 else 0, 1, piece))
        return malformed(conn)


@case("http2/8.1.1", "a content-length and a stream that ends before it")
def _():
    conn = Conn()
    conn.ask(flags=END_HEADERS, block=conn.block(("content-length", "10"), method="POST", path="/up"))
    conn.send(frame(DATA, END_STREAM, 1, b"test"))
    return malformed(conn)


@case("http2/8.5", "CONNECT with a :path")
def _():
    conn = Conn()
    conn.ask(method="CONNECT")
    return malformed(conn)


@case("http2/8.5", "CONNECT is not for a host that is looked into")
def _():
    conn = Conn()
    conn.ask(block=conn.encoder.encode([(":method", "CONNECT"), (":authority", "other.test:443")]))
    got = conn.answer()
    return got[0] != 200, f"{got[0]} {got[1]}"


@case("http2/8.8", "a cookie in crumbs")
def _():
    conn = Conn()
    conn.ask(block=conn.block(("cookie", "a=1"), ("cookie", "b=2")))
    return ok(conn)


# RFC 7541.

@case("hpack/2.3.3", "an index beyond the table")
def _():
    conn = Conn()
    conn.ask(block=conn.block() + b"\xff\x80\x01")
    return connection_error(conn, COMPRESSION)


@case("hpack/2.3.3", "a literal whose name is beyond the table")
def _():
    conn = Conn()
    conn.ask(block=conn.block() + b"\x7f\x81\x01\x04test")
    return connection_error(conn, COMPRESSION)


@case("hpack/4.2", "a change of the table's size at the end of a block")
def _():
    conn = Conn()
    conn.ask(block=conn.block() + b"\x3f\x01")
    return connection_error(conn, COMPRESSION)


for name, value in [("more than 7 bits of padding", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), ("padding of zeros", b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
                    ("the end of string itself", b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")]:
    @case("hpack/5.2", f"Huffman with {name}")
    def _(value=value):
        conn = Conn()
        conn.ask(block=conn.block() + value)
        return connection_error(conn, COMPRESSION)


@case("hpack/6.1", "index 0")
def _():
    conn = Conn()
    conn.ask(block=conn.block() + b"\x80")
    return connection_error(conn, COMPRESSION)


@case("hpack/6.3", "a table larger than SETTINGS_HEADER_TABLE_SIZE")
def _():
    conn = Conn()
    conn.ask(block=b"\x3f\xe1\xff\xff\x7f" + conn.block())
    return connection_error(conn, COMPRESSION)


for name, field in [
    ("a literal that is indexed", b"\x40\x05x-own\x03one"), ("a literal that is not", b"\x00\x05x-own\x03one"), ("a literal that never is", b"\x10\x05x-own\x03one"),
    ("a table of size 0", None),
]:
    @case("hpack/6", name)
    def _(field=field):
        conn = Conn()
        conn.ask(block=conn.block() + field if field else b"\x20" + conn.block())
        return ok(conn)


# What is abused: it ends, and nothing else suffers.

def flood(conn, data, times):
    """Sends until the peer has had enough; whether it had."""
    for _ in range(times):
        try:
            conn.socket.sendall(data)
        except OSError:
            return True, "closed"
    seen = conn.until(GOAWAY, RST)
    return seen.kind != "silence", str(seen)


@case("abuse", "rapid reset (CVE-2023-44487)")
def _():
    conn = Conn()
    for index in range(4000):
        stream = 1 + 2 * index
        try:
            conn.socket.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, conn.block(path="/late/never")) + frame(RST, 0, stream, u32(CANCEL)))
        except OSError:
            return True, "closed"
    return connection_error(conn, ENHANCE, PROTOCOL, REFUSED)


@case("abuse", "a flood of CONTINUATION (CVE-2024-27316 and its kind)")
def _():
    conn = Conn()
    conn.send(frame(HEADERS, END_STREAM, 1, conn.block()))
    return flood(conn, frame(CONTINUATION, 0, 1, b"\x00\x05x-own" + string("v" * 8000)), 400)


@case("abuse", "a flood of empty CONTINUATION")
def _():
    conn = Conn()
    conn.send(frame(HEADERS, END_STREAM, 1, conn.block()))
    return flood(conn, frame(CONTINUATION, 0, 1, b"") * 100, 500)


@case("abuse", "an HPACK bomb")
def _():
    conn = Conn()
    block = conn.block() + b"\x40\x05x-own" + string("v" * 4000) + b"\xbe" * 12000
    conn.ask(block=block)
    got = conn.answer()
    return got[0] in (400, 431) or got[0] is None and got[1] != "nothing", f"{got[0]} {got[1]}"


@case("abuse", "streams that violate, one after the other (CVE-2025-8671)")
def _():
    conn = Conn()
    for index in range(4000):
        stream = 1 + 2 * index
        data = frame(HEADERS, END_HEADERS | END_STREAM, stream, conn.block(path="/late/never")) + frame(WINDOW, 0, stream, u32(0))
        try:
            conn.socket.sendall(data)
        except OSError:
            return True, "closed"
    return connection_error(conn, ENHANCE, PROTOCOL, REFUSED)


def run(entry):
    section, name, function = entry
    try:
        passed, seen = function()
    except Exception as error:
        passed, seen = False, f"{type(error).__name__}: {error}"
    return f"{section}\t{name}\t{'pass' if passed else 'fail'}\t{seen}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ["proxy", "credentials", "ca", "host", "port", "only"]:
        parser.add_argument("--" + name)
    parser.add_argument("--patience", type=float, default=3.0)
    parser.parse_args(namespace=ways)
    ways.port = int(ways.port)
    chosen = [entry for entry in CASES if not ways.only or ways.only in entry[0] + " " + entry[1]]
    # What floods is tried alone: through a proxy it may cost others of the same agent the connection that they share.
    alone = [entry for entry in chosen if entry[0] in ("abuse", "http2/5.1.2")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for line in pool.map(run, [entry for entry in chosen if entry not in alone]):
            print(line)
    for entry in alone:
        print(run(entry))
