"""Takes what is sent to it over loopback and lets it go, plain or over TLS; a program of its own.

Usage: receiver.py BYTES [CERTIFICATE KEY]. Prints its port; answers one byte when it has them all.
"""

import socket
import ssl
import sys


def main() -> None:
    """Serves one connection."""
    left = int(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[2:])
        connection = context.wrap_socket(connection, server_side=True)
    buffer = bytearray(1 << 20)
    while left:
        received = connection.recv_into(buffer)
        if not received:
            raise SystemExit("the sender went away")
        left -= received
    connection.sendall(b".")
    connection.close()


if __name__ == "__main__":
    main()
