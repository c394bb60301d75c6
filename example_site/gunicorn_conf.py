"""gunicorn's settings: `gunicorn -c python:example_site.gunicorn_conf example_site.wsgi`."""

from __future__ import annotations

from example_site import place
from example_site.settings import LOGGING

bind = f"{place.HOST}:{place.current().port}"
workers = 2
threads = 4
graceful_timeout = 3
control_socket_disable = True
# gunicorn names the path of a request that failed; the filter takes tokens out of it.
logconfig_dict = {
    **LOGGING,
    "loggers": {"gunicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False}},
}
