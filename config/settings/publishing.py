"""Where events are published for other teams: nowhere, unless it is said here. For the write pool and the workers."""

from config.settings.env import env

# A Valkey or Redis, e.g. redis://user:secret@streams:6379/0; the key of the stream; how many events it keeps.
EVENTS_STREAM_URL = env.str("EVENTS_STREAM_URL", default="")
EVENTS_STREAM = env.str("EVENTS_STREAM", default="socialapp:v1:events")
EVENTS_STREAM_LENGTH = env.int("EVENTS_STREAM_LENGTH", default=100_000)
# Published means on that server's disk (WAITAOF). Off for a service that has no such disk, or no such command.
EVENTS_STREAM_FSYNC = env.bool("EVENTS_STREAM_FSYNC", default=True)

# host:port,host:port; the topic; whatever else librdkafka needs, e.g. security.protocol=SASL_SSL,sasl.username=app.
EVENTS_KAFKA_SERVERS = env.str("EVENTS_KAFKA_SERVERS", default="")
EVENTS_KAFKA_TOPIC = env.str("EVENTS_KAFKA_TOPIC", default="socialapp.events")
EVENTS_KAFKA_OPTIONS = env.dict("EVENTS_KAFKA_OPTIONS", default={})
