"""The machine: console, device and precision, memory allocator, seeding."""
