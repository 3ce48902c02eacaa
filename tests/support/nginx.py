"""This file is nginx before several apps, as people put it there: with TLS, one name for each, and files of its own."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from support.certified import certificate
from support.ports import HOST, Port

PROGRAM = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
PATIENCE = 60  # seconds for an app to answer, on a busy machine
USER = "user root;" if os.geteuid() == 0 else ""  # or its workers are somebody who cannot read the tests' folders
MAIN = """
daemon off;
{user}
pid {home}/pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  types {{ text/html html; text/javascript js; }}
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxied;
  fastcgi_temp_path {home}/fastcgi;
  scgi_temp_path {home}/scgi;
  uwsgi_temp_path {home}/uwsgi;
  ssl_certificate {home}/certificate;
  ssl_certificate_key {home}/certificate;
  {servers}
}}
"""
UPGRADED = "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"
SERVER = """
  server {{
    listen {host}:{port} ssl http2;
    server_name {name};
    location /pages/ {{ root {files}; }}
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffer_size 8k;
      proxy_read_timeout {patience};
    }}
  }}
"""


class Nginx:
    """Not started before `start`: the origins are known first, since the apps have to be told."""

    def __init__(self, home: Path, names: Mapping[str, int], *, files: Path) -> None:
        """`names` are hosts below `localhost`, with the ports of their apps; `files` has the folder `pages`."""
        self._home = home
        self._port = Port()
        self.origins = {name: f"https://{name}.localhost:{self._port.number}" for name in names}
        self.certificate = certificate(*(f"{name}.localhost" for name in names))
        (home / "certificate").write_bytes(self.certificate)
        said = {"host": HOST, "port": self._port.number, "files": files, "patience": PATIENCE}
        servers = [
            SERVER.format(name=f"{name}.localhost", upstream=upstream, **said) for name, upstream in names.items()
        ]
        (home / "conf").write_text(MAIN.format(user=USER, home=home, servers="".join([UPGRADED, *servers])))

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def command(self) -> list[str]:
        assert PROGRAM
        return [PROGRAM, "-p", str(self._home), "-c", str(self._home / "conf"), "-e", "stderr"]

    def close(self) -> None:
        self._port.close()
