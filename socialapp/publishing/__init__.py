"""The platform's events for other teams: published to a Valkey stream and to Kafka, each where it is configured."""
