from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wagtail_prefs", "0013_failing")]

    operations = [
        migrations.AddField(
            model_name="lane",
            name="watched_at",
            field=models.DateTimeField(null=True),
        ),
    ]
