"""Up to whom ended pauses were announced, where many end at one moment. A column that may be empty of a table of one row:
servers of the release before go on.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wagtail_prefs", "0021_counted_sends")]

    operations = [
        migrations.AddField(
            model_name="pausenoticemark",
            name="contact",
            field=models.UUIDField(null=True),
        ),
    ]
