"""Whatever there is outside: origins, QUIC, name servers and metadata, at every address given. It says `ready` when all of them answer."""
import socket
import ssl
import struct
import sys
import threading

CERTIFICATE, KEY, LISTED, ADDRESSES = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]


def answered(query):
    """A name has the one address; a question without a name is answered with nothing."""
    end = 12
    while query[end]:
        end += query[end] + 1
    kind = struct.unpack(">H", query[end + 1:end + 3])[0]
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(LISTED) if kind == 1 else b""
    return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1 if record else 0, 0, 0) + query[12:end + 5] + record


def datagrams(sock, answer):
    while True:
        data, peer = sock.recvfrom(4096)
        sock.sendto(answer(data), peer)


def page(stream):
    stream.settimeout(10)
    said = b""
    while b"\r\n\r\n" not in said:
        more = stream.recv(4096)
        if not more:
            return
        said += more
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\noutside\n")


def names(stream):
    stream.settimeout(10)
    length = struct.unpack(">H", stream.recv(2))[0]
    answer = answered(stream.recv(length))
    stream.sendall(struct.pack(">H", len(answer)) + answer)


def streams(listener, speak, context):
    def one(stream):
        try:
            with context.wrap_socket(stream, server_side=True) if context else stream as spoken:
                speak(spoken)
        except (OSError, IndexError, struct.error):
            pass

    while True:
        stream, _ = listener.accept()
        threading.Thread(target=one, args=(stream,), daemon=True).start()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    for port, speak, tls in [(80, page, None), (443, page, context), (53, names, None)]:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
        threading.Thread(target=streams, args=(listener, speak, tls), daemon=True).start()
    for address in ADDRESSES:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port, answer in [(443, lambda data: b"versions"), (53, answered)]:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.bind((address, port))
            threading.Thread(target=datagrams, args=(sock, answer), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


main()
