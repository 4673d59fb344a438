"""The journal: a SQLite file of everything that a program is about to send and has received. It survives a crash."""
