"""Users of the admin with just these permissions, for all sites or for one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from wagtail.models import GroupSitePermission, Site
from wagtail.permissions import policy_registry

from wagtail_prefs.admin import permissions as may
from wagtail_prefs.sync.models import Arrival

#: What staff may do with people, by codename.
EVERYTHING = tuple(may.LABELS)


def make_staff(name: str, *codenames: str, site: Site | None = None) -> Any:
    """A user who may open the admin and do this: everywhere, or with the people of one site."""
    for model in (*may.MODELS, Arrival):  # a transactional test before may have given it another number
        vars(policy_registry.get_by_type(model)).pop("_content_type", None)
    user = get_user_model().objects.create_user(name, f"{name}@brand.example", "password")
    group = Group.objects.create(name=name)
    group.permissions.set(Permission.objects.filter(codename="access_admin"))
    found = Permission.objects.filter(codename__in=codenames, content_type__app_label="wagtail_prefs")
    assert found.count() == len(codenames)
    if site is None:
        group.permissions.add(*found)
    else:
        for permission in found:
            GroupSitePermission.objects.create(group=group, site=site, permission=permission)
    user.groups.add(group)
    return user
