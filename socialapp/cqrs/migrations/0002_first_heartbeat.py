"""The heartbeat's one row, so that reads can be routed before beat has ticked for the first time."""

from django.db import migrations

INSERT = """
    INSERT INTO cqrs_heartbeat (id, time, timeline)
    VALUES (1, clock_timestamp(), ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int)
"""


class Migration(migrations.Migration):
    dependencies = [("cqrs", "0001_initial")]
    operations = [migrations.RunSQL(INSERT, "DELETE FROM cqrs_heartbeat")]
