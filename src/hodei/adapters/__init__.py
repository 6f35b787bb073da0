"""What the ports are made of: stores, log stores, certificates. None of them knows another."""
