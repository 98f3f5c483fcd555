"""Errors of the machine in sentences: what failed, where, and what is intact."""

from translator.errors import TranslatorError

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    # What the driver and the libraries allocate for themselves does not pass through PyTorch's allocator.
    "CUDA error: out of memory",
    "HIP error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def describe_error(error: BaseException) -> str | None:
    """Say in a sentence what went wrong; None for what is a bug, which needs its traceback."""
    if isinstance(error, TranslatorError):
        return str(error)
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        where = " and ".join(_name(file) for file in (error.filename, error.filename2) if file is not None)
        return f"{where}: {what}" if where else f"reading or writing failed: {what}"
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop from "):  # of `Path.resolve`
        return f"{str(error).removeprefix('Symlink loop from ')}: links that lead in a circle"
    if is_out_of_memory(error):
        return (
            "there is not enough memory for this; lower the size of batches, of the beam or of the model. What is "
            "on the disk is intact"
        )
    if isinstance(error, EOFError):
        return "the input ends in the middle; the file is truncated"
    if isinstance(error, UnicodeError):
        return f"found text that cannot be read or written as {getattr(error, 'encoding', 'UTF-8')} ({error})"
    if isinstance(error, RecursionError):
        return "found values inside values, too deep to be read"
    if isinstance(error, OverflowError):
        return f"a number is too large to compute with ({error}); lower the settings of this command"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on the host or on a device; told without importing torch."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY))
    )


def _name(file: object) -> str:
    return file.decode("utf-8", "surrogateescape") if isinstance(file, bytes) else str(file)
