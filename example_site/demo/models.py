"""Which contacts got the demo's newsletter."""

from __future__ import annotations

from django.db import models


class NewsletterSent(models.Model):
    """One mail to one contact, with links to the site as it was addressed then."""

    contact = models.UUIDField()
    site = models.URLField()
    sent_at = models.DateTimeField(auto_now_add=True)

    wagtail_reference_index_ignore = True

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contact", "site"], name="demo_newsletter_once")]

    def __str__(self) -> str:
        return f"{self.contact} {self.site}"
