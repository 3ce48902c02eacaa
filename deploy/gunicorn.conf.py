"""gunicorn before a guarded app: gunicorn --config gunicorn.conf.py app:app."""

import os

worker_class = "gthread"  # of a WSGI app; "asgi" of an ASGI app
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8  # who logs in holds a thread while the provider answers; the others serve meanwhile

timeout = 60  # seconds; the middleware gives the provider 10, and its store less
graceful_timeout = 30  # seconds for what is under way when a worker is replaced, such as the end of a login

# Whom X-Forwarded-Proto is believed from: 127.0.0.1, or those that the variable FORWARDED_ALLOW_IPS names.
# They may not say where the app is mounted: SCRIPT_NAME comes from the environment alone.
forwarder_headers = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}  # a proxy hands on others as a client wrote them

limit_request_field_size = 16380  # bytes of all cookies together: a session, logins under way, and the app's own
control_socket_disable = True  # nothing is written beside the app, so its file system may be read-only
