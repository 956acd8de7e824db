"""Where commands wait that were accepted while the log was down."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("cqrs", "0003_timelines")]
    operations = [
        migrations.CreateModel(
            name="InboxCommand",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("partition", models.PositiveSmallIntegerField()),
                ("stamp", models.BigIntegerField()),
                ("body", models.TextField()),
                ("type", models.CharField(max_length=100)),
                ("actor_id", models.UUIDField(null=True)),
                ("resource_type", models.CharField(max_length=50)),
                ("resource_id", models.UUIDField()),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("fingerprint", models.CharField(max_length=64, null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["actor_id", "idempotency_key"],
                        condition=Q(idempotency_key__isnull=False),
                        name="one_inbox_command_per_idempotency_key",
                    )
                ],
                "indexes": [models.Index(fields=["partition", "stamp"], name="inbox_order")],
            },
        ),
        migrations.CreateModel(
            name="InboxClock",
            fields=[
                ("partition", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("stamp", models.BigIntegerField()),
            ],
        ),
    ]
