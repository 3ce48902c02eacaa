"""A NiceGUI app that people enter with ConsentKeys.

    pip install ck-middleware nicegui
    python nicegui_app.py

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

NiceGUI's `app` is a FastAPI app, and takes middleware as one. With `ui.run_with(app)` it is your own FastAPI app.
"""

from fastapi import Request
from nicegui import app, ui

from ck_middleware import ASGIAuthMiddleware

# In docs/frameworks.md:
app.add_middleware(ASGIAuthMiddleware)


# In docs/frameworks.md:
@ui.page("/")
def home(request: Request) -> None:
    ui.label(f"Welcome, {request.user.display_name}!")
    ui.link("Sign out", "/auth/logout")


ui.run(host="localhost", port=8000, show=False, reload=False)
