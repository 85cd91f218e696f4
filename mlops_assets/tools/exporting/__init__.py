"""A version by itself: a folder that answers by one version, without the platform."""
