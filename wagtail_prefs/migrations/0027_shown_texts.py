"""An index of the texts that pages have shown, filled from the snapshots there are."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from wagtail_prefs.centers.serving import snapshot_of
from wagtail_prefs.centers.texts import texts


def fill(apps: Any, schema_editor: Any) -> None:
    kept, shown = (apps.get_model("wagtail_prefs", name) for name in ("CenterSnapshot", "ShownText"))
    for row in kept.objects.using(schema_editor.connection.alias).iterator(chunk_size=20):
        found = {text.sha256 for text in texts(snapshot_of(row))}
        shown.objects.using(schema_editor.connection.alias).bulk_create(
            [shown(sha256=sha256, snapshot=row.digest) for sha256 in sorted(found)], ignore_conflicts=True
        )


class Migration(migrations.Migration):
    dependencies = [("wagtail_prefs", "0026_duplicate_scans")]

    operations = [
        migrations.CreateModel(
            name="ShownText",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(editable=False, max_length=64)),
                ("snapshot", models.CharField(editable=False, max_length=64)),
            ],
            options={
                "verbose_name": "text shown",
                "verbose_name_plural": "texts shown",
                "constraints": [
                    models.UniqueConstraint(fields=("sha256", "snapshot"), name="prefs_shown_text")
                ],
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
