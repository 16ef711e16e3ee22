#!/usr/bin/env python3
"""Records the one request that a command sends, byte for byte.

    record.py NAME COMMAND [ARGUMENT...]

The word URL in the arguments becomes the address to ask, which is that of the study list. A client that asks
with `Expect: 100-continue` is told to go on. The request is written to ../dialects/NAME.http.
"""

import pathlib
import socket
import subprocess
import sys

ANSWER = b'{"code":0,"message":"success","data":[]}'
HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: " + str(len(ANSWER)).encode() + b"\r\n\r\n"
)


def main():
    name, command = sys.argv[1], sys.argv[2:]
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/thirdparty/patientStudies/900001"
    client = subprocess.Popen([argument.replace("URL", url) for argument in command], stdout=subprocess.DEVNULL)
    connection, _ = listener.accept()
    connection.settimeout(60)
    request = read(connection)
    connection.sendall(HEADS + ANSWER)
    connection.close()
    if client.wait(60) != 0:
        print(f"{name}: the client ended with {client.returncode}", file=sys.stderr)
    path = pathlib.Path(__file__).parent.parent / "dialects" / f"{name}.http"
    path.write_bytes(request)
    print(f"{name}: {len(request)} bytes")


def read(connection):
    """One request to its end, as its own head says where that is."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = [line.split(b":", 1) for line in head.split(b"\r\n")[1:]]
    fields = {line[0].strip().lower(): line[1].strip() for line in lines}
    if fields.get(b"expect", b"").lower() == b"100-continue" and not body:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
        # Good enough for clients that send no trailers, and these do not.
        while not body.endswith(b"0\r\n\r\n"):
            body += more(connection)
    else:
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += more(connection)
    return head + b"\r\n\r\n" + body


def more(connection):
    data = connection.recv(65536)
    if not data:
        raise SystemExit("the client closed before its request was whole")
    return data


if __name__ == "__main__":
    main()
