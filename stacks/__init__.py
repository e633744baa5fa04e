"""The Pulumi program: settings and a platform in, one environment out."""
