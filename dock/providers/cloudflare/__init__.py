"""The plugin `pulumi-resource-cloudflare`: a declaration in `types/` for each resource type."""
