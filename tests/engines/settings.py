"""The settings of a site that carries out its tasks by one of the queues: `ENGINE`, on the database of the test."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

ENGINE = os.environ["ENGINE"]
REDIS = os.environ.get("ENGINE_REDIS", "")

WAGTAIL_PREFS: dict[str, Any] = json.loads(os.environ["ENGINE_PREFS"])

#: engine -> what it takes beside the plugin
APPS = {
    "db": ["django_tasks_db"],
    "rq": ["django_rq", "django_tasks_rq"],
    "celery": ["django_tasks_fennel"],
}
BACKENDS = {
    "db": "django_tasks_db.DatabaseBackend",
    "rq": "django_tasks_rq.RQBackend",
    "celery": "django_tasks_fennel.CeleryBackend",
}

INSTALLED_APPS = [*INSTALLED_APPS, *APPS.get(ENGINE, [])]
if ENGINE in BACKENDS:
    TASKS = {"default": {"BACKEND": BACKENDS[ENGINE]}}
RQ_QUEUES = {"default": {"URL": REDIS}}
CELERY_BROKER_URL = REDIS
