"""The plugin `pulumi-resource-aws`: one mechanism, and a declaration in `types/` for each resource type."""
