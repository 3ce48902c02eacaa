"""The app, told by the proxy in front of granian who came, and how."""

from app import app as guarded
from granian.utils.proxies import wrap_asgi_with_proxy_headers

app = wrap_asgi_with_proxy_headers(guarded, trusted_hosts="127.0.0.1")
