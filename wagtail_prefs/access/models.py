"""What must be remembered about tokens: the codes that were used up."""

from __future__ import annotations

from django.db import models


class UsedCode(models.Model):
    """A one-time code that opened a session; the row is what makes the second use fail."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    wagtail_reference_index_ignore = True

    def __str__(self) -> str:
        return self.digest
