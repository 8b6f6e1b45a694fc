from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="agent",
            name="sees_shared",
            field=models.BooleanField(
                default=True,
                help_text="What owners and admins have written down for all employees.",
                verbose_name="may use the workspace's shared notes",
            ),
        ),
    ]
