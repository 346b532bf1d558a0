"""The REST service: wire types, routes, bounds and storage; what it answers, the library says."""
