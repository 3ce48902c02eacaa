"""A Django app, on ASGI, that people enter with ConsentKeys. In a project of yours, the last line goes into asgi.py.

    pip install ck-middleware django uvicorn
    uvicorn --host localhost --port 8000 django_asgi_app:application

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

import secrets

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.html import format_html

from ck_middleware import ASGIAuthMiddleware, get_user

# In a project of yours, all this is there already.
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost"], SECRET_KEY=secrets.token_hex(32))

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


async def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(HOME)


# In docs/frameworks.md:
async def dashboard(request: HttpRequest) -> HttpResponse:
    return HttpResponse(format_html(DASHBOARD, get_user(request).display_name))


async def api_data(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"user": dict(get_user(request).claims)})


urlpatterns = [path("", home), path("dashboard", dashboard), path("api/data", api_data)]

# In docs/frameworks.md:
application = ASGIAuthMiddleware(get_asgi_application(), public=["/"], after_login="/dashboard")
