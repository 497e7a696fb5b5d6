"""How many files and connections the system lets a process have open at once."""

import resource

import structlog

log = structlog.get_logger("waypost.open_files")

WANTED = 16_384  # thousands of customers' connections, as many to Meta, the receivers' and the journal's files


def allow_open_files() -> int:
    """Raise the limit of this process as far as it may, and return it; few open files cost connections under load.

    Many systems start a process with 1,024 and allow more to whoever asks.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft != resource.RLIM_INFINITY and soft < WANTED:
        log.warning("few_open_files", limit=soft, advice=f"let the process open {WANTED} files (ulimit -n)")
    return soft
