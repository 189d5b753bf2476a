"""What papers share, in rooms that import only those above them; in itself command line, settings, whole files."""

from common.malloc import keep_freed_memory

keep_freed_memory()
