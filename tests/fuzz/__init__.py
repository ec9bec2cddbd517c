"""Bytes from a stranger: targets over the firmware's own files, a corpus, and who feeds them."""
