"""What is done to whole runs to see what they lose: `campaigns.faults`, a disk that refuses."""
