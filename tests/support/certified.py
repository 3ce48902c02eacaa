"""This file is an https server whose certificate nobody knows, unless they are told, and a proxy on the way to it."""

import contextlib
import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from support.forgery import rsa_key

HOST = "127.0.0.1"


class CertifiedServer:
    """Answers every GET with the same JSON, over TLS. `certificate` is the file that tells whom to trust."""

    def __init__(self, folder: Path, *, host: str = HOST, days: int = 1, body: bytes = b"{}") -> None:
        """`host` is whom the certificate is for, `days` how long it is good yet; it was made a month ago."""
        self.certificate = folder / f"{host}-{days}.pem"
        self.certificate.write_bytes(certificate(host, days=days))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)

        class Handler(_Handler):
            answer = body

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that does not trust us hangs up."""

        self._server = Listener((HOST, 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"https://{HOST}:{self.port}"

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class Tunnel:
    """A proxy that opens a tunnel to `server` for everyone who asks, whatever for (RFC 9110, 9.3.6)."""

    def __init__(self, server: CertifiedServer) -> None:
        self.asked: list[str] = []
        tunnel = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                tunnel.asked.append(self.rfile.readline().decode().strip())
                while self.rfile.readline().strip():
                    """The rest of the header."""
                with socket.create_connection((HOST, server.port), timeout=60) as there:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
                    back.start()
                    _copy(self.connection, there)
                    back.join(5)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Listener((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := one.recv(1 << 16):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)


class _Handler(BaseHTTPRequestHandler):
    timeout = 60
    answer = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
        """Not of interest."""


def certificate(*hosts: str, days: int = 1) -> bytes:
    """A key and a certificate that it signed itself, as PEM."""
    key = rsa_key(50).private
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=30))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_subject(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + made.public_bytes(serialization.Encoding.PEM)


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
