"""The command line: parses, asks the library, prints. One module a verb, loaded when called."""
