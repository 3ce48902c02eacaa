# An MLflow server that people enter with ConsentKeys.
#
#     pip install ck-middleware mlflow
#     sh mlflow_server.sh
#
# Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
# Redirect URI to register: http://localhost:8000/auth/callback
#
# `--app-name` is MLflow's option for an app in place of its own, and ck-middleware brings this one. It is for people at
# the web interface. Programs that log runs have no browser: start another server for them, on the same store, where
# only they can reach it.

# In docs/frameworks.md:
exec mlflow server --app-name consentkeys --port 8000
