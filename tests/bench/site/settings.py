"""Apps and middleware of `wagtail start` in production, with the plugin and DRF beside them."""

from __future__ import annotations

import os
from typing import Any

import dj_database_url

SECRET_KEY = "a secret of the bench, long enough for every check to be content; nothing else uses it"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.bench.site.urls"
WSGI_APPLICATION = "tests.bench.site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

INSTALLED_APPS = [
    "tests.bench.site",
    "wagtail_prefs",
    "rest_framework",
    "wagtail.api.v2",
    "wagtail.contrib.forms",
    "wagtail.contrib.redirects",
    "wagtail.contrib.settings",
    "wagtail.embeds",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.snippets",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django_filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "wagtail.contrib.redirects.middleware.RedirectMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# A new connection for each request (Django's default) costs more than any of the requests.
_DATABASE: dict[str, Any] = dict(dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=None))
# And statements are planned once a connection, as docs/explanation/performance.md advises; for our peers as well.
_DATABASE["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": 5}
DATABASES = {"default": _DATABASE}

STATIC_URL = "/static/"
WAGTAIL_SITE_NAME = "Bench"
WAGTAILADMIN_BASE_URL = "http://localhost"
WAGTAIL_ENABLE_UPDATE_CHECK = False
WAGTAIL_ENABLE_WHATS_NEW_BANNER = False

#: The workers deliver elsewhere: a save has as many backends as it always had.
_SAVES = {
    "database": {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"},
    "webhook": {
        "BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend",
        "OPTIONS": {"URL": "https://crm.example.org/hook", "SECRET": f"whsec_{'A' * 43}="},
    },
}
_PLATFORM = "tests.bench.site.platform.PlatformBackend"
_DELIVERIES = {
    "many": {"BACKEND": _PLATFORM, "OPTIONS": {"BATCH": 500}},
    "single": {"BACKEND": _PLATFORM, "OPTIONS": {"BATCH": 1}},
}

if "BENCH_VENDOR" in os.environ:
    from tests.bench import vendors

    _DELIVERIES[os.environ["BENCH_VENDOR"]] = vendors.entry(
        os.environ["BENCH_VENDOR"], os.environ[vendors.URL]
    )

WAGTAIL_PREFS = {
    "SIGNING_KEYS": [
        {"kid": "b1", "key": "a-fixed-key-for-the-bench-only-0123456789-abcdefghij", "created": "2026-01-01"},
    ],
    "BACKENDS": _DELIVERIES if "BENCH_CRM_PORT" in os.environ else _SAVES,
    "ALLOW_PRIVATE_HOSTS": True,
    "SENDERS": {"email": {"default": "decide"}, "sms": {"default": "decide"}},
    # Decisions are measured with all rules on.
    "QUIET_HOURS": {"email": ["21:00", "08:00"], "sms": ["21:00", "08:00"]},
    "DECISION_RULES": ["tests.bench.site.rules.OpenTicket"],
    "SESSION_MINUTES": 240,  # longer than any run
    # One person asks as often as all people of a site.
    "LIMITS": {name: [(10**6, 60)] for name in ("api_read", "api_write", "key_calls")},
}
