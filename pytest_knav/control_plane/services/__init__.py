"""Host processes of ours beside a control plane, started when a test needs them."""
