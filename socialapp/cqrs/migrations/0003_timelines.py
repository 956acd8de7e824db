"""How far each earlier timeline has survived its failover."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cqrs", "0002_first_heartbeat")]
    operations = [
        migrations.AddField("heartbeat", "position", models.BigIntegerField(db_default=0)),
        migrations.CreateModel(
            name="Timeline",
            fields=[
                ("timeline", models.PositiveIntegerField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField()),
            ],
        ),
    ]
