"""Run folders: what a run leaves behind.

names        of the files, and of the columns of their tables
writer       writes a folder while its run goes on
reader       reads one at any time
manifest     manifest.json as it is written
history_log  history.csv while it grows
step_log     the log of steps: a stream while it grows, Parquet afterwards
location     where a folder may be
provenance   the versions and the commit that the manifest tells
"""
