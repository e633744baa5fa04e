"""What Pulumi's engine loads in place of the vendors' plugins, so that an unchanged program runs on the dock."""
