"""On which days the planned messages of a topic come. It may be empty: a few rows, and servers of the release before go on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wagtail_prefs", "0019_touched")]

    operations = [
        migrations.AddField(
            model_name="topic",
            name="planned_on",
            field=models.JSONField(blank=True, editable=False, null=True, verbose_name="planned days"),
        ),
    ]
