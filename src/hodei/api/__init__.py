"""The doors of a server: decode, call one use case, encode.

`grpc` is for clients and workers, `http` for health.
"""
