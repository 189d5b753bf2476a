"""What papers share, in rooms that import only those above them; in itself command line, settings, whole files."""

from common.malloc import keep_freed_memory

__version__ = "0.1.0"  # of the package; CHANGELOG.md tells what is in it

keep_freed_memory()
