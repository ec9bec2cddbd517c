"""Versions of firmware and native protocol; read by hello, checked by the host before motion."""

FIRMWARE = "0.1.0"
PROTOCOL = 1
