from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('wagtail_prefs', '0009_getting_in'),
    ]

    operations = [
        migrations.AddField(
            model_name='hits',
            name='moments',
            field=models.JSONField(default=list),
        ),
    ]
