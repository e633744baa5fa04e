"""The edge: a reverse proxy that does what Cloudflare does in front of an origin. It knows zones, not the API."""
