"""Run folders: what a run leaves behind.

names        of the files, and of the columns of their tables
writer       writes a folder while its run goes on
reader       reads one at any time
beginning    makes a folder, and takes it
page         its report.html
manifest     manifest.json as it is written
history_log  history.csv while it grows
step_log     the log of steps: a stream while it grows, Parquet afterwards
spared_steps  the same where the disk refuses it for a while
checkpoint   what a run goes on from
resuming     takes up the folder of a run whose process has ended
liveness     whether a process goes on, and the lock that tells so
location     where a folder may be
provenance   the versions and the commit that the manifest tells
"""
