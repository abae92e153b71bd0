"""Text in and out: files that appear whole, CSV and JSON, numbers, near spellings."""
