"""What is written: statuses, flags, ConfigMap, Secret, Events."""
