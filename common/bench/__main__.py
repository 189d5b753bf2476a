"""What the networks cost here; see `rows`."""

from common.bench.rows import main

main()
