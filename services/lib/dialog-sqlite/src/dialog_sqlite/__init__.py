"""One SQLite file of a service: one connection, group commit, migrations, backup."""
