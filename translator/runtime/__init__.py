"""The machine: console, device and precision, host and device memory, files, seeding."""
