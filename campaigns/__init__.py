"""Campaigns: runs that are killed, disks that refuse, folders of somebody else."""
