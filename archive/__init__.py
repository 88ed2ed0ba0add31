"""Whole archives of recordings: what is to be diagnosed, in partitions, by many processes, and where it is kept.

A room of its own above inference, because nothing in it knows an ECG: `listing` names files, `workers` hands them out
and survives processes that die, `directory` keeps what comes back. `scoring` alone calls the `Diagnoser`; it is what
runs in every process. predict.py puts them together.
"""
