"""Certificates and proxies: servers of which we believe nothing at first."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ck_middleware.errors import ProviderUnreachable
from support.canned import Canned, document_of, json_answer
from support.ports import HOST
from support.provider import MisbehavingProvider
from support.relying import Clients


class TestProxies:
    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    def test_a_proxy_of_the_environment_is_asked(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        with Canned() as proxy:
            proxy.answer = json_answer(document_of(provider.issuer))
            monkeypatch.setenv(name, proxy.url)
            assert clients().discover().token_endpoint == f"{provider.issuer}/token"
        assert proxy.heads[0].startswith(f"GET {provider.url('discovery')} HTTP/1.1")
        assert provider.hits == []

    @pytest.mark.parametrize("hosts", ["127.0.0.1", "other.example,127.0.0.1", "*"])
    def test_a_host_may_be_left_out(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch, hosts: str
    ) -> None:
        with Canned() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", hosts)
            assert clients().log_in()["name"] == "Ada"
        assert proxy.heads == []

    def test_a_proxy_may_be_written_without_its_scheme(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            proxy.answer = json_answer(document_of(provider.issuer))
            monkeypatch.setenv("HTTP_PROXY", f"{HOST}:{proxy.port}")
            assert clients().discover().issuer == provider.issuer
        assert len(proxy.heads) == 1

    def test_a_proxy_is_told_who_asks(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            proxy.answer = json_answer(document_of(provider.issuer))
            monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@{HOST}:{proxy.port}")
            assert clients().discover().issuer == provider.issuer
        credentials = base64.b64encode(b"user:p@ss").decode()
        assert f"proxy-authorization: basic {credentials}".lower() in proxy.heads[0].lower()

    def test_a_proxy_learns_the_host_of_an_https_address_and_no_more(
        self, clients: Clients, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            proxy.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with pytest.raises(ProviderUnreachable):
                clients(issuer="https://idp.invalid/tenant").discover()
        assert proxy.heads[0].startswith("CONNECT idp.invalid:443 HTTP/1.1")
        assert "tenant" not in "".join(proxy.heads)

    def test_a_proxy_that_is_down_makes_the_provider_unreachable(
        self, clients: Clients, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(ProviderUnreachable):
            clients().discover()


REAL_CONTEXT = httpx.create_ssl_context


def certificate(directory: Path, name: str, *names: x509.GeneralName) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for these names, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = directory / f"{name}.pem", directory / f"{name}.key"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.fixture
def tls_clients(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Relying parties that look at certificates as they do outside of tests."""
    monkeypatch.setattr(httpx, "create_ssl_context", REAL_CONTEXT)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return clients


def test_a_certificate_that_nobody_vouches_for_is_refused_until_the_environment_does(
    tls_clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, context = certificate(tmp_path, "idp", x509.IPAddress(ip_address(HOST)))
    with Canned(context) as server:
        server.answer = json_answer(document_of(server.url))
        with pytest.raises(ProviderUnreachable):
            tls_clients(issuer=server.url).discover()
        assert server.heads == []
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        assert tls_clients(issuer=server.url).discover().issuer == server.url


def test_a_certificate_of_another_host_is_refused(
    tls_clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, context = certificate(tmp_path, "other", x509.DNSName("other.example"))
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    with Canned(context) as server:
        server.answer = json_answer(document_of(server.url))
        with pytest.raises(ProviderUnreachable):
            tls_clients(issuer=server.url).discover()
        assert server.heads == []
