"""The system checks. Only composes: each stands with what it checks."""

from __future__ import annotations

from django.core.checks import Tags, register

from .access.checks import check_limits, check_limits_cache, check_limits_shared, check_sign_up
from .backends.checks import check_backends, check_inbound, check_mappings
from .conf import check_keys, check_retention, check_senders, check_settings
from .contacts.checks import check_database, check_locations
from .contacts.keys_in_use import check_keys_in_use
from .decisions.checks import check_decisions
from .delivery.checks import check_deliveries
from .law.checks import check_law, check_periods
from .ledger.checks import check_guard
from .ledger.sinks import check_exported, check_sink
from .mail.checks import check_mail
from .sending.checks import check_asking, check_sending, check_unnamed
from .versions import check_versions
from .web.member import check_member


def connect() -> None:
    """Register the checks; called from apps.ready()."""
    register(check_settings, Tags.compatibility)
    register(check_senders, Tags.compatibility)
    register(check_retention, Tags.compatibility)
    register(check_keys, Tags.security)
    register(check_keys_in_use, Tags.security, deploy=True)
    register(check_versions, Tags.security)
    register(check_limits, Tags.security)
    register(check_limits_cache, Tags.caches)
    register(check_limits_shared, Tags.caches, deploy=True)
    register(check_sign_up, Tags.compatibility)
    register(check_member, Tags.compatibility)
    register(check_backends, Tags.compatibility)
    register(check_inbound, Tags.compatibility)
    register(check_database, Tags.compatibility)
    register(check_law, Tags.compatibility)
    register(check_periods, Tags.compatibility)
    register(check_locations, Tags.database, deploy=True)
    register(check_decisions, Tags.compatibility)
    register(check_sink, Tags.compatibility)
    register(check_exported, Tags.security, deploy=True)
    register(check_mail, Tags.security, deploy=True)
    register(check_sending, Tags.compatibility)
    register(check_asking, Tags.compatibility, deploy=True)
    register(check_unnamed, Tags.database)
    register(check_deliveries, Tags.database)
    register(check_mappings, Tags.database)
    register(check_guard, Tags.database)
