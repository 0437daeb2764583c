"""What pytest-knav costs and gains, beside plain kwokctl: measured, judged, shown."""
