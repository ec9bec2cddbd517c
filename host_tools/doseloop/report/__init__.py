"""Turn recorded runs into pages for people. Reads records and traces, never a pump."""
