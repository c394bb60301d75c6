"""Settings of the demo site. What a real site would do otherwise is marked "demo only"."""

from __future__ import annotations

import os
from typing import Any

import dj_database_url

from . import passwords, place
from .platforms.demo import chosen, configured

HERE = place.current()
VAR = place.var()
SECRETS = passwords.load()  # demo only: a real site reads its secrets from the environment

DEBUG = os.environ.get("DEBUG") == "1"
SECRET_KEY = SECRETS.django
ALLOWED_HOSTS = [place.HOST, "localhost"]
ROOT_URLCONF = "example_site.urls"
WSGI_APPLICATION = "example_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "example_site.home",
    "example_site.demo",
    "wagtail_prefs",
    "rest_framework",
    "wagtail.contrib.forms",
    "wagtail.contrib.redirects",
    "wagtail.contrib.settings",
    "wagtail.contrib.simple_translation",
    "wagtail.locales",
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
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
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
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database() -> dict[str, Any]:
    database: dict[str, Any] = dict(
        dj_database_url.parse(os.environ.get("DATABASE_URL") or f"sqlite:///{VAR / 'db.sqlite3'}")
    )
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {
            # Writers queue up instead of failing half-way, readers never wait, and a commit is on the disk.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    elif database["ENGINE"] == "django.db.backends.postgresql":
        database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    return database


DATABASES = {"default": _database()}

# Languages: English at "/", German at "/de/"; into Arabic nothing is translated yet
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]
WAGTAIL_I18N_ENABLED = True
WAGTAIL_CONTENT_LANGUAGES = LANGUAGES

# Two processes serve the site, and Wagtail keeps there which pages are home pages: one of them would not know of a new one.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": VAR / "cache",
    }
}

# Files
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True  # demo only: a real site runs collectstatic
MEDIA_URL = "/media/"
MEDIA_ROOT = VAR / "media"

# Mail: into the mailbox of `make demo`
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = place.HOST
EMAIL_PORT = HERE.smtp_port
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = "Copperlane Cycle Co-op <post@copperlane.example>"

# Security. The demo speaks plain HTTP on loopback, so cookies cannot be `Secure`.
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
# Cookies do not know ports: a name of its own keeps another project on 127.0.0.1 logged in.
SESSION_COOKIE_NAME = "wagtail_prefs_demo_session"
CSRF_COOKIE_NAME = "wagtail_prefs_demo_csrf"
CSRF_TRUSTED_ORIGINS = [HERE.site]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Wagtail
WAGTAIL_SITE_NAME = "Copperlane Cycle Co-op"
WAGTAILADMIN_BASE_URL = HERE.site
WAGTAIL_GRAVATAR_PROVIDER_URL = None  # demo only: no request leaves this machine
WAGTAIL_ENABLE_UPDATE_CHECK = False
WAGTAIL_ENABLE_WHATS_NEW_BANNER = False
WAGTAILDOCS_EXTENSIONS = ["pdf", "txt"]

# The plugin
WAGTAIL_PREFS: dict[str, Any] = {
    "SIGNING_KEYS": [{"kid": "demo", "key": SECRETS.signing, "created": "2026-01-01"}],
    "BACKENDS": {
        "database": {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"},
        "crm": {
            "BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend",
            "OPTIONS": {"URL": f"{HERE.crm}/hooks/preferences", "SECRET": SECRETS.webhook},
            # Where the CRM tells us who left over there: prefs/api/v1/inbound/crm/{this}/
            "INBOUND_SECRETS": [SECRETS.inbound],
        },
    },
    "SENDERS": {
        "email": {"default": "decide"},
        "sms": {"default": "decide"},
        "post": {"default": "decide"},
    },
    # Nobody sends by phone: an editor who offers it is told so before she publishes.
    "CHANNELS": ["email", "sms", "post", "phone"],
    # On another disk or another machine in real life: who can rewrite the database must not reach these.
    "SEALS": {"SINK": "wagtail_prefs.ledger.sinks.FileSink", "OPTIONS": {"path": VAR / "seals.jsonl"}},
    "SEAL_MINUTES": 1,
    "ALLOW_PRIVATE_HOSTS": True,  # demo only: the CRM stands on loopback
}

# `make demo CRM=mailchimp`: a stand-in for that platform, which is told everything, too, and sends the e-mail.
if CRM := chosen():
    WAGTAIL_PREFS = configured(WAGTAIL_PREFS, CRM, HERE.platform_api, SECRETS.inbound)

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    # Links are keys: what stands in a log must not open anybody's page.
    "filters": {"prefs": {"()": "wagtail_prefs.web.logs.RedactTokens"}},
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["prefs"]}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
