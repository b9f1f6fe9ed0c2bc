"""Writers: statuses, flags, ConfigMap, Secret and Events."""
