"""Generated protobuf, and what turns it into domain values and back.

`tools/generate_proto.py` makes the modules that end in `_pb2`; everything else is written by hand.
"""
