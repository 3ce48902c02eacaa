"""The app, told by the proxy in front of hypercorn who came, and how. Only the proxy may reach the port."""

from app import app as guarded
from hypercorn.middleware import ProxyFixMiddleware

app = ProxyFixMiddleware(guarded, mode="legacy", trusted_hops=1)
