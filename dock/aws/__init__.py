"""The AWS services that the dock serves itself: one service a package or module, each a subclass of `Service`."""
