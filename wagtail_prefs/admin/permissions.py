"""Who of the staff may do what with people: for all sites, or for the people of one site (security.md AD-01).

A contact belongs to an audience, and an audience to a site. So does an API key. A permission that a group has in Wagtail's usual table holds
for all sites; one that it has in the panel below holds for one. Deliveries and what the database backend keeps follow
the contact that they are about. Whoever may see a person of one site does not learn that there are others elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.template.loader import render_to_string
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.models import GroupSitePermission, Site
from wagtail.permission_policies.base import BaseDjangoAuthPermissionPolicy
from wagtail.permission_policies.sites import SitePermissionPolicy
from wagtail.permissions import policy_registry, register_permission_policy

from ..access.models import ApiKey
from ..backends.database.models import Subscriber
from ..contacts.models import Contact
from ..delivery.models import Delivery
from ..topics.models import Audience

#: What staff may do with a person; Django's codenames are these with `_contact`.
VIEW, REVEAL, CHANGE, EXPORT, RETRY, VERIFY = "view", "reveal", "change", "export", "retry", "verify"
#: What they may do with numbers about many.
RESULTS, DOWNLOAD = "results", "download"
#: Bringing people in from files.
IMPORT = "import"
#: Forgetting a person for good.
ERASE = "erase"
ACTIONS = (VIEW, REVEAL, CHANGE, EXPORT, ERASE, RETRY, VERIFY, RESULTS, DOWNLOAD, IMPORT)

#: What they may do with the keys of programs: to list, to make, to revoke.
KEY_ACTIONS = ("view", "add", "change")
#: What has permissions here.
MODELS: tuple[type[Model], ...] = (Contact, Delivery, Subscriber, ApiKey)

#: What each means, in the order of the panel.
LABELS = {
    "view_contact": gettext_lazy("Look at a person"),
    "reveal_contact": gettext_lazy("See addresses and answers"),
    "change_contact": gettext_lazy("Change on a person's behalf"),
    "export_contact": gettext_lazy("Export people"),
    "erase_contact": gettext_lazy("Erase people"),
    "import_contact": gettext_lazy("Import people"),
    "retry_contact": gettext_lazy("Retry deliveries"),
    "verify_contact": gettext_lazy("Verify the ledger"),
    "results_contact": gettext_lazy("See results"),
    "download_contact": gettext_lazy("Download results"),
    "view_delivery": gettext_lazy("List deliveries"),
    "view_subscriber": gettext_lazy("List subscribers of the database backend"),
    "view_apikey": gettext_lazy("List API keys"),
    "add_apikey": gettext_lazy("Make API keys"),
    "change_apikey": gettext_lazy("Revoke API keys"),
}


class PeoplePolicy(SitePermissionPolicy):
    """Wagtail's policy of sites for rows that lead to a site by way of a person. What is not in `actions` nobody may
    do, superusers included: such rows are not added, edited or deleted by hand.
    """

    def __init__(
        self,
        model: type[Model],
        actions: Iterable[str],
        *,
        of_sites: Callable[[QuerySet[Site]], Q],
        site_of: Callable[[Any], int | None],
    ) -> None:
        # Past Wagtail's own, which wants a field that is the site.
        BaseDjangoAuthPermissionPolicy.__init__(self, model)
        self.actions = frozenset(actions)
        self._of_sites = of_sites
        self._site_of = site_of

    def user_has_any_permission(self, user: Any, actions: Iterable[str]) -> bool:
        known = self._known(actions)
        return bool(known) and bool(super().user_has_any_permission(user, known))

    def user_has_any_permission_for_instance(self, user: Any, actions: Iterable[str], instance: Any) -> bool:
        known = self._known(actions)
        if not known or not (user.is_authenticated and user.is_active):
            return False
        if user.is_superuser or self._user_has_global_permission(user, known):
            return True
        names = self._get_permission_codenames(known)
        sites = {
            given.site_id
            for given in self.get_cached_permissions_for_user(user)
            if given.permission.content_type_id == self._content_type.pk
            and given.permission.codename in names
        }
        site = instance.pk if isinstance(instance, Site) else self._site_of(instance)
        return site in sites

    def sites_user_has_any_permission_for(self, user: Any, actions: Iterable[str]) -> QuerySet[Site]:
        # With no action at all Wagtail's answer is nothing, for superusers everything.
        known = self._known(actions)
        found: QuerySet[Site] = super().sites_user_has_any_permission_for(user, known)
        return found if known else found.none()

    def everywhere(self, user: Any, actions: Iterable[str]) -> bool:
        """Whether the user may do any of this on all sites, and with what belongs to none."""
        known = self._known(actions)
        return (
            bool(known)
            and user.is_active
            and (user.is_superuser or bool(self._user_has_global_permission(user, known)))
        )

    def instances_user_has_any_permission_for(self, user: Any, actions: Iterable[str]) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.all()
        if self.everywhere(user, actions):
            return rows
        if not self.user_has_any_permission(user, actions):
            return rows.none()
        return rows.filter(self._of_sites(self.sites_user_has_any_permission_for(user, actions)))

    def _known(self, actions: Iterable[str]) -> list[str]:
        return [action for action in actions if action in self.actions]


def _people_of(sites: QuerySet[Site]) -> QuerySet[Any]:
    return Contact.objects.filter(audience__site__in=sites).values("pk")


def _site_behind(row: Any) -> int | None:
    """The site of the person that a row names without a key to her."""
    return Contact.objects.filter(pk=row.contact).values_list("audience__site", flat=True).first()


def register_policies() -> None:
    """Before any view asks for them: called while `wagtail_hooks` is imported."""
    register_permission_policy(
        Contact,
        PeoplePolicy(
            Contact,
            ACTIONS,
            of_sites=lambda sites: Q(audience__site__in=sites),
            site_of=lambda contact: contact.audience.site_id,
        ),
    )
    register_permission_policy(
        ApiKey,
        PeoplePolicy(
            ApiKey,
            KEY_ACTIONS,
            of_sites=lambda sites: Q(audience__site__in=sites),
            site_of=lambda key: key.audience.site_id,
        ),
    )
    for model in (Delivery, Subscriber):
        register_permission_policy(
            model,
            PeoplePolicy(
                model,
                [VIEW],
                of_sites=lambda sites: Q(contact__in=_people_of(sites)),
                site_of=_site_behind,
            ),
        )


def policy() -> PeoplePolicy:
    """The policy of contacts."""
    found: PeoplePolicy = policy_registry.get_by_type(Contact)
    return found


def key_policy() -> PeoplePolicy:
    """The policy of API keys."""
    found: PeoplePolicy = policy_registry.get_by_type(ApiKey)
    return found


def audiences(user: Any, action: str, of: PeoplePolicy | None = None) -> QuerySet[Audience]:
    """The audiences with whose people a user may do this. For everything that lists, counts or exports people.

    `of` is another policy that asks for sites: with whose API keys.
    """
    of = of or policy()
    found: QuerySet[Audience] = Audience.objects.order_by("name", "pk")
    if of.everywhere(user, [action]):
        return found
    return found.filter(site__in=of.sites_user_has_permission_for(user, action))


def permissions() -> QuerySet[Permission]:
    """All that groups can be given here, for the hook `register_permissions`."""
    return Permission.objects.filter(
        content_type__app_label=Contact._meta.app_label,
        content_type__model__in=[model._meta.model_name for model in MODELS],
        codename__in=LABELS,
    )


class SitePermissionsForm(forms.Form):
    """The panel of a group: what it may do with the people of each site. Wagtail asks for it by the hook."""

    def __init__(self, *, instance: Group | None = None, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files, prefix="wagtail_prefs_people")
        self.instance = instance
        self.ids = _ids_by_codename()
        held = self._held()
        codenames = {pk: codename for codename, pk in self.ids.items()}
        choices = [(codename, label) for codename, label in LABELS.items() if codename in self.ids]
        for site in Site.objects.order_by("hostname", "port"):
            self.fields[f"site_{site.pk}"] = forms.MultipleChoiceField(
                label=str(site),
                choices=choices,
                required=False,
                initial=[codenames[permission] for other, permission in held if other == site.pk],
                widget=forms.CheckboxSelectMultiple,
            )

    def _held(self) -> set[tuple[int, int]]:
        if self.instance is None or self.instance._state.adding:
            return set()
        rows = GroupSitePermission.objects.filter(
            group=self.instance, permission_id__in=self.ids.values()
        ).values_list("site_id", "permission_id")
        return set(rows)

    def as_admin_panel(self) -> str:
        return render_to_string(
            "wagtail_prefs/admin/contacts/site_permissions.html",
            {"heading": _("People and their preferences, site by site"), "form": self},
        )

    def save(self) -> None:
        held = self._held()
        wanted = {
            (int(name.removeprefix("site_")), self.ids[codename])
            for name, codenames in self.cleaned_data.items()
            for codename in codenames
        }
        shown = {int(name.removeprefix("site_")) for name in self.fields}
        for site, permission in wanted - held:
            GroupSitePermission.objects.get_or_create(
                group=self.instance, site_id=site, permission_id=permission
            )
        for site, permission in held - wanted:
            if site in shown:  # one that was made while the form was open is not taken away
                GroupSitePermission.objects.filter(
                    group=self.instance, site_id=site, permission_id=permission
                ).delete()


def _ids_by_codename() -> Mapping[str, int]:
    types = ContentType.objects.get_for_models(*MODELS).values()
    return dict(
        Permission.objects.filter(content_type__in=types, codename__in=LABELS).values_list("codename", "pk")
    )
