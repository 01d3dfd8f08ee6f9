"""What the scenarios are made of: ports, waits, raw clients, origins and sidecars."""
