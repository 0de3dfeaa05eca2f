"""The REST API, in the dialect for which the field has SDKs: one file for each resource, put together in `whole`."""
