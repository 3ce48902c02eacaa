"""A Datasette that people enter with ConsentKeys: a plugin, which is how Datasette lets itself be wrapped.

    pip install ck-middleware datasette
    datasette data.db --create --plugins-dir datasette_plugins --port 8000

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

What people may see there is said by `allow` blocks, which know them by `id`, the `sub`.
"""

from datasette import hookimpl
from datasette.app import Datasette

from ck_middleware import ASGIAuthMiddleware
from ck_middleware.contrib.datasette import actor_from_request

__all__ = ["actor_from_request", "asgi_wrapper"]


# In docs/frameworks.md:
@hookimpl(trylast=True)  # so that it is around the wrappers of other plugins
def asgi_wrapper(datasette: Datasette) -> type[ASGIAuthMiddleware]:
    return ASGIAuthMiddleware
