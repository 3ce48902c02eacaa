"""This file is the app of docs/observability.md that counts what happens: `gunicorn support.apps.metered:app`."""

from typing import Any

from support.apps.plain import plain
from support.documents import ROOT
from support.fences import samples

(sample,) = [
    one.code for one in samples(ROOT / "docs" / "observability.md", "python") if "MultiProcessCollector" in one.code
]
names: dict[str, Any] = {"site": plain}
exec(sample, names)  # noqa: S102  # our own document
app = names["app"]
