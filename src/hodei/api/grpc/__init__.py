"""The gRPC services, one file each, and the three listeners that serve them."""
