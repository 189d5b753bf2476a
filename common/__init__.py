"""What the papers share: operators, files, metrics, protocols, the plumbing of training. Imports no paper."""

from common.malloc import keep_freed_memory

keep_freed_memory()
