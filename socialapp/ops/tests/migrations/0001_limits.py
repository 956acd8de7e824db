"""Keeps the limits under which it runs, and needs a lock that others may have."""

from django.db import migrations

LIMITS = "CREATE TABLE ops_limits AS SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout'"


class Migration(migrations.Migration):
    operations = [
        migrations.RunSQL(LIMITS, reverse_sql="DROP TABLE ops_limits"),
        migrations.RunSQL("LOCK TABLE cqrs_heartbeat IN ACCESS EXCLUSIVE MODE", reverse_sql=migrations.RunSQL.noop),
    ]
