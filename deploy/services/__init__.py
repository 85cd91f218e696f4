"""The services beside the platform, each started as a plain process of this machine."""
