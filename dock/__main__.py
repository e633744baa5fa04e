from dock.daemon import main

raise SystemExit(main())
