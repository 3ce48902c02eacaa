"""This file is docs/frameworks.md: what it says of each framework, and where in the examples its code stands."""

import re
from dataclasses import dataclass
from textwrap import dedent

from support.documents import anchor
from support.examples import EXAMPLES, run_line

MARK = "<!-- From here on written by pytest tests/test_examples.py --write-docs -->\n"
SHOWN = "# In docs/frameworks.md:"  # above each paragraph of an example that is


@dataclass(frozen=True)
class Framework:
    """A section. `user` and `changed` complete "The user is ..." and "From an existing app: ..."."""

    title: str
    file: str
    user: str
    changed: str
    note: str = ""
    page: str = ""  # another file of the same example
    first: str = ""  # what has to be known before the code


WRAPPED = "two lines, the import and the one that wraps"
LAST = (
    "Call `add_middleware` for ours after all others: it puts each new one around those before, so what is added later "
    "runs before the guard, for strangers too. `CORSMiddleware` alone comes later: behind the guard, "
    "preflights get a 401."
)

FRAMEWORKS = (
    Framework(
        "Flask",
        "flask_app.py",
        "`get_user(request)`, with Flask's `request`",
        f"{WRAPPED} `app.wsgi_app`",
        "With Flask-Login, import `LoginManager` from `ck_middleware.contrib.flask_login`, and delete the user "
        "loader: `current_user` and `@login_required` stay, and no cookie but the middleware's counts.",
    ),
    Framework(
        "Django",
        "django_app.py",
        "`get_user(request)`",
        "two lines of `wsgi.py`",
        "If `request.user` should be that person, name `ck_middleware.contrib.django.UserMiddleware` in "
        "`MIDDLEWARE`, in place of `AuthenticationMiddleware`. It needs neither a database nor sessions. It answers "
        "what code asks of Django's users too (`get_username()`, `is_active`, `has_perm()`, ...): `pk` is the `sub`, "
        "nobody is staff, and nobody has a permission.",
        first="**Which of the three?** If the project uses the admin, permissions, or anything else of "
        "`django.contrib.auth`, and a new project does, take [Django, with its users](#django-with-its-users), on "
        "WSGI and on ASGI: without `AuthenticationMiddleware`, `manage.py check` fails there with `admin.E408`. What "
        "follows here is for a project without them.",
    ),
    Framework(
        "Django, on ASGI",
        "django_asgi_app.py",
        "`get_user(request)`",
        "two lines of `asgi.py`",
        "The rest is as above.",
        first="`request.user` from Django's table needs a middleware of ours here: Django's own "
        "`RemoteUserMiddleware` finds nobody on ASGI. Take "
        "`ck_middleware.contrib.django_auth.RemoteUserMiddleware`, and derive one of your own from that, whatever its "
        "`header` is; all else is as in "
        "[Django, with its users](#django-with-its-users).",
    ),
    Framework(
        "Django, with its users",
        "django_users_app.py",
        "`request.user`, a row of Django's table whose name is the `sub`; groups, permissions and the admin go by it",
        "two lines of `wsgi.py`, and two entries of the settings",
        "It is safe to believe `REMOTE_USER` here: the middleware alone writes it, anew for each request, and takes "
        "away what a client or a server said. `PersistentRemoteUserMiddleware` is not safe, for it keeps people "
        'logged in who have signed out; nor is a subclass with `header = "HTTP_..."`, for it believes a header, '
        "which anybody can send. On ASGI Django's own looks for just such a header, and finds none, since the "
        "middleware lets none through: name `ck_middleware.contrib.django_auth.RemoteUserMiddleware` there, which "
        "asks the middleware. It does so on WSGI too, for a project that has both.\n\n"
        "Django's own log-out, such as the button of the admin, ends Django's session alone: the next request is "
        "that person's again. So let it lead to ours, before the admin in `urlpatterns`: "
        '`path("admin/logout/", RedirectView.as_view(url="/auth/logout"))`, of `django.views.generic`. '
        "Nobody is staff by logging in. The first one logs in, reads their `sub` at `/auth/me`, and becomes it in "
        "`manage.py shell`: `User.objects.filter(username=sub).update(is_staff=True, is_superuser=True)`.",
    ),
    Framework(
        "FastAPI",
        "fastapi_app.py",
        "a parameter of type `CurrentUser`, or `OptionalUser` where nobody need be logged in; also `request.user`",
        "two lines, the import and `add_middleware`",
        "A route that asks for `CurrentUser` answers strangers 401 also where its path is open, and a WebSocket is "
        "refused. `responses=UNAUTHORIZED`, of a route, a router or the app, puts the 401 into the OpenAPI document.",
        first=LAST,
    ),
    Framework(
        "Starlette",
        "starlette_app.py",
        "`request.user`",
        "two lines, the import and one in `middleware`",
        f"In the list of `middleware`, it is the first that is outermost. {LAST}",
    ),
    Framework("Quart", "quart_app.py", "`get_user(request)`, with Quart's `request`", f"{WRAPPED} `app.asgi_app`"),
    Framework(
        "Litestar",
        "litestar_app.py",
        "`request.user`",
        f"{WRAPPED} the app",
        "What Litestar calls middleware runs behind its router, too late for the addresses under `/auth`.",
    ),
    Framework("Falcon", "falcon_app.py", "`get_user(req)`", f"{WRAPPED} the app"),
    Framework("Falcon, on ASGI", "falcon_asgi_app.py", "`get_user(req)`", f"{WRAPPED} the app"),
    Framework("Bottle", "bottle_app.py", "`get_user(request)`, with Bottle's `request`", f"{WRAPPED} the app"),
    Framework("Pyramid", "pyramid_app.py", "`get_user(request)`", f"{WRAPPED} what `make_wsgi_app` gives"),
    Framework(
        "Dash",
        "dash_app.py",
        "`get_user(request)` in a callback, with Flask's `request`",
        f"{WRAPPED} `app.server.wsgi_app`",
        "Dash is a guest of that Flask app.",
    ),
    Framework(
        "Streamlit",
        "streamlit_app.py",
        "`current_user()`",
        "none in the page; a new file wraps it, and is what you run from now on",
        "`st.App` is what Streamlit offers to be wrapped, since 1.53 and there as `streamlit.starlette.App`; older "
        "ones have nothing of the kind, and need a proxy in front that logs people in. To run the page itself goes "
        "around the guard: a page that asks `current_user()` is an error then, and shows nothing of what comes "
        "after that.",
        page="streamlit_page.py",
    ),
    Framework(
        "Gradio",
        "gradio_app.py",
        "`get_user(request.request)`, in a function with a parameter of type `gr.Request`",
        "three lines in place of `demo.launch()`, and the imports",
        "`launch()` makes a server of its own, which cannot be wrapped. The queue and its stream of events are "
        "guarded as every path is.",
    ),
    Framework(
        "NiceGUI",
        "nicegui_app.py",
        "`request.user`, with a parameter `request: Request` of the page",
        "two lines, the import and `add_middleware`",
        "The WebSocket is guarded too. With `ui.run_with(app)`, it is your own FastAPI `app` that takes the "
        "middleware.",
    ),
    Framework(
        "Datasette",
        "datasette_plugins/consentkeys.py",
        "the actor, with the claims, and the `sub` as `id`: `allow` blocks and permissions go by it",
        "none; a plugin",
        "`asgi_wrapper` is the hook by which Datasette lets itself be wrapped; `trylast` puts the guard around "
        "other plugins.",
    ),
    Framework(
        "MLflow",
        "mlflow_server.sh",
        "not known to MLflow, which has users of its own only with `basic-auth`",
        "none; an option of the command",
        "`--app-name` is MLflow's way to another app, and ck-middleware brings this one; its settings come from the "
        "environment. It is for people at the web interface. Programs that log runs have no browser: for them, start "
        "another server on the same store, where only they can reach it.",
    ),
)


def shown(file: str) -> str:
    """Those paragraphs of an example that the document shows, after what they import from us."""
    text = re.sub(r"  # type: ignore.*$", "", (EXAMPLES / file).read_text("utf-8"), flags=re.MULTILINE)
    imports = "".join(re.findall(r"^from ck_middleware.*\n", text, re.MULTILINE))
    paragraphs = [_paragraph(rest) for rest in text.split(SHOWN)[1:]]
    return "\n".join(part for part in (imports, *paragraphs) if part)


def _paragraph(text: str) -> str:
    """The lines up to an empty one, or to one that stands further left, which closes what was opened before."""
    indent = len(text[1:]) - len(text[1:].lstrip(" "))
    ending = re.search(rf"\n(?=\n| {{0,{max(indent - 1, 0)}}}\S)" if indent else r"\n(?=\n)|\Z", text[1:])
    assert ending
    return dedent(text[1:][: ending.start()].rstrip() + "\n")


def written(text: str) -> str:
    """The text of docs/frameworks.md with what stands below the mark written anew."""
    index = "".join(f"- [{row.title}](#{anchor(row.title)})\n" for row in FRAMEWORKS)
    return text.partition(MARK)[0] + "\n".join([MARK, index, *map(_section, FRAMEWORKS)])


def _section(row: Framework) -> str:
    files = [file for file in (row.file, row.page) if file]
    language = "sh" if row.file.endswith(".sh") else "python"
    code = [f"```{language}\n{shown(file)}```" for file in files]
    links = " and ".join(f"[`{file}`](../examples/{file})" for file in files)
    sentences = f"The user is {row.user}. From an existing app: {row.changed}. {row.note}".rstrip()
    first = [row.first] if row.first else []
    return "\n\n".join(
        [f"## {row.title}", *first, *code, sentences, f"Whole: {links}, run with `{run_line(row.file)}`.\n"]
    )
